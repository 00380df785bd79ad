"""The loop, driven by objectives so small that every number is known."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from d2v_core.errors import DivergedError
from d2v_core.objectives.protocol import Draw, StepResult
from d2v_core.training.checkpoint import TrainingState
from d2v_core.training.events import CheckpointDue, Collapsed, Progress
from d2v_core.training.health import Collapse
from d2v_core.training.loop import train


class Line:
    """Loss ``mean(weight * x)``; remembers what it was called with."""

    def __init__(self, measures=None, loss=lambda x: x):
        self.module = nn.ModuleDict({"encoder": nn.Linear(1, 1, bias=False)})
        nn.init.ones_(self.module["encoder"].weight)
        self.of_output, self.updates, self.measures = loss, [], measures or {}
        self.measured, self.described = [], []

    def to(self, device):
        self.module.to(device)

    thresholds: ClassVar = {}

    def draw(self, inputs, step):
        return Draw()

    def loss(self, inputs, labels, draw, step):
        def measure():
            self.measured.append(step)
            return {name: values[step] for name, values in self.measures.items()}

        def describe():
            self.described.append(step)
            return {"weight": float(self.module["encoder"].weight.detach())}

        return StepResult(
            loss=self.of_output(self.module["encoder"](inputs).mean()),
            measure=measure,
            describe=describe,
        )

    def after_update(self, step):
        self.updates.append(step)

    def network(self, which):
        return self.module["encoder"]

    def extra_state(self):
        return {}

    def load_extra_state(self, state):
        pass


def run(objective, *, inputs=lambda step: 1.0, **changes):
    optimizer = torch.optim.SGD(objective.module.parameters(), lr=1.0)
    state = TrainingState(objective=objective, optimizer=optimizer)
    options = {
        "batches": lambda s: (torch.full((2, 1), float(inputs(s))), torch.zeros(2)),
        "num_steps": 10,
        "learning_rate_at": lambda step: 0.0,
        "max_grad_norm": None,
        "seed": 0,
        "log_every": 1,
        "check_every": 1_000,
        "checkpoint_every_seconds": 1e9,
        "thresholds": {},
        "check_after": 0,
        "stop_on_collapse": True,
    }
    return state, train(state, **(options | changes))


def test_progress_comes_every_so_many_updates_and_after_the_last():
    objective = Line()
    _, events = run(objective, log_every=4)
    assert [event.step for event in events] == [4, 8, 10]
    assert objective.updates == list(range(1, 11))
    assert objective.measured == [4, 8, 10]


def test_what_only_describes_is_asked_for_on_logged_updates_before_the_weights_move():
    objective = Line()
    _, events = run(
        objective, log_every=5, check_every=2, learning_rate_at=lambda step: 1.0
    )
    weights = [event.metrics["weight"] for event in events]
    assert objective.measured == [2, 4, 5, 6, 8, 10]
    assert objective.described == [5, 10]
    assert weights == pytest.approx([1 - 4, 1 - 9])


def test_progress_reports_means_since_the_last_one():
    _, events = run(Line(), inputs=lambda step: step, log_every=4)
    losses = [event.metrics["train/loss"] for event in events]
    assert losses == pytest.approx([2.5, 6.5, 9.5])
    norms = [e.metrics["train/grad_norm"] for e in run(Line(), log_every=5)[1]]
    assert norms == pytest.approx([1.0, 1.0])


def test_each_update_uses_its_own_learning_rate():
    objective = Line()
    rates = {1: 0.1, 2: 0.01, 3: 0.001}
    _, events = run(objective, num_steps=3, learning_rate_at=rates.__getitem__)
    logged = [event.metrics["optimizer/learning_rate"] for event in events]
    assert logged == [0.1, 0.01, 0.001]
    weight = objective.module["encoder"].weight
    assert float(weight.detach()) == pytest.approx(1 - 0.111)


def test_gradients_are_clipped_to_the_global_norm_and_reported_unclipped():
    objective = Line()
    _, events = run(
        objective,
        inputs=lambda step: 50.0,
        num_steps=1,
        max_grad_norm=2.0,
        learning_rate_at=lambda step: 1.0,
    )
    (event,) = events
    assert event.metrics["train/grad_norm"] == pytest.approx(50.0)
    weight = objective.module["encoder"].weight
    assert float(weight.detach()) == pytest.approx(1 - 2.0, rel=1e-5)


def test_the_state_is_consistent_whenever_the_loop_is_suspended():
    objective = Line()
    state, events = run(objective, log_every=2, checkpoint_every_seconds=1e-9)
    for event in events:
        assert state.step == len(objective.updates)
        if isinstance(event, Progress):
            assert (state.step, state.seconds) == (event.step, event.seconds)
    assert state.step == 10


def test_seconds_only_grow_and_do_not_count_what_the_driver_does(monkeypatch):
    clock = iter(range(1000))
    now = {"extra": 0}
    monkeypatch.setattr("time.perf_counter", lambda: next(clock) + now["extra"])
    state, events = run(Line(), num_steps=3)
    seconds, data_seconds = [], []
    for event in events:
        seconds.append(event.seconds)
        data_seconds.append(event.data_seconds)
        now["extra"] += 10_000
    # The clock is read three times in an update: around the data, and at the end.
    assert seconds == [3, 6, 9]
    assert data_seconds == [1, 2, 3]
    assert (state.seconds, state.data_seconds) == (9, 3)


def test_checkpoints_follow_progress_and_never_the_last_update():
    _, events = run(Line(), log_every=3, checkpoint_every_seconds=1e-9)
    kinds = [(type(event).__name__, getattr(event, "step", None)) for event in events]
    assert kinds == [
        ("Progress", 3),
        ("CheckpointDue", None),
        ("Progress", 6),
        ("CheckpointDue", None),
        ("Progress", 9),
        ("CheckpointDue", None),
        ("Progress", 10),
    ]
    _, events = run(Line())
    assert not any(isinstance(event, CheckpointDue) for event in events)


def test_closing_the_generator_stops_the_training():
    objective = Line()
    state, events = run(objective)
    next(events)
    events.close()
    assert state.step == 1
    assert list(events) == []


def test_nothing_happens_when_all_updates_are_done():
    objective = Line()
    state, _ = run(objective)
    state.step = 10
    _, events = run(objective, num_steps=0)
    assert list(events) == []
    assert objective.updates == []


@pytest.mark.parametrize("log_every", [1, 2, 5, 10])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_named_with_its_update(log_every, value):
    poisoned = lambda step: value if step == 4 else 1.0  # noqa: E731
    _, events = run(Line(), inputs=poisoned, log_every=log_every)
    with pytest.raises(DivergedError) as caught:
        list(events)
    assert caught.value.step == 4
    assert str(caught.value) == (
        f"diverged at step 4: the loss is not finite ({value})"
    )


def test_a_gradient_that_is_not_finite_is_named_even_if_the_next_loss_is_not_either():
    # The root's value at 0 is finite, its slope is not; the update then spoils all.
    objective = Line(loss=lambda x: torch.sqrt(x.clamp_min(0.0)))
    zero_at_two = lambda step: 0.0 if step == 2 else 1.0  # noqa: E731
    _, events = run(
        objective,
        inputs=zero_at_two,
        log_every=5,
        learning_rate_at=lambda step: 0.1,
    )
    with pytest.raises(DivergedError, match="step 2: the gradient is not finite"):
        list(events)


def test_a_collapse_stops_the_training_and_is_remembered():
    stds = dict(enumerate([9.0, 5.0, 4.0, 0.05, 0.01] + [0.01] * 10))
    objective = Line({"target/std": stds})
    state, events = run(objective, thresholds={"target/std": 0.1}, check_every=1)
    events = list(events)
    collapse = Collapse(3, "target/std", 0.05, 0.1)
    assert events[-1] == Collapsed(collapse)
    assert [e.step for e in events[:-1]] == [1, 2, 3]
    assert state.collapse == collapse
    assert objective.updates == [1, 2, 3]


def test_a_collapse_can_be_only_noted_once():
    objective = Line({"target/std": dict.fromkeys(range(11), 0.01)})
    options = {"thresholds": {"target/std": 0.1}, "check_every": 1}
    state, events = run(objective, stop_on_collapse=False, **options)
    events = list(events)
    collapses = [event for event in events if isinstance(event, Collapsed)]
    assert collapses == [Collapsed(Collapse(1, "target/std", 0.01, 0.1))]
    assert state.step == 10
    assert state.collapse == collapses[0].collapse


def test_thresholds_hold_only_after_the_first_updates():
    objective = Line({"target/std": dict.fromkeys(range(11), 0.01)})
    options = {"thresholds": {"target/std": 0.1}, "check_every": 1}
    state, events = run(objective, check_after=7, **options)
    list(events)
    assert state.collapse.step == 7


@pytest.mark.parametrize("log_every", [1, 3, 100])
def test_how_often_is_logged_does_not_change_when_a_collapse_is_seen(log_every):
    objective = Line({"target/std": dict.fromkeys(range(11), 0.01)})
    options = {"thresholds": {"target/std": 0.1}, "check_every": 4}
    state, events = run(objective, log_every=log_every, **options)
    last_two = list(events)[-2:]
    assert state.collapse.step == 4
    assert [type(event) for event in last_two] == [Progress, Collapsed]


def test_dropout_is_a_function_of_seed_and_update():
    def losses(seed):
        objective = Line()
        drop = nn.Dropout(0.5)
        objective.of_output = lambda x: drop(x.expand(64)).mean()
        torch.manual_seed(np.random.default_rng().integers(1000))
        return [e.metrics["train/loss"] for e in run(objective, seed=seed)[1]]

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)
    assert len(set(losses(0))) > 3
