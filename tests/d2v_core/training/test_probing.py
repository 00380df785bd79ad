"""Looking at an encoder in the middle of its training changes nothing else."""

import pytest
import torch

from d2v_core.errors import DivergedError
from d2v_core.training.events import Finished, Probed, Progress, Trained
from d2v_core.trial import probe_steps, run_trial
from tests.d2v_core.small import EVERYTHING_RANDOM, small_dataset, small_trial

FINE_TUNED = {
    "evaluation": {
        "fine_tuning": {"num_steps": 2, "batch_size": 8, "learning_rates": [1e-3]}
    }
}


def probed_at(*shares):
    return {"execution": {"probe_at": list(shares)}}


def events_of(*changes):
    """All events, and the trained weights as they were before the evaluation."""
    events, weights = [], []
    for event in run_trial(small_trial(*changes), dataset=small_dataset()):
        events.append(event)
        if isinstance(event, Trained):
            weights = [*event.state.objective.module.state_dict().values()]
            weights = [weight.clone() for weight in weights]
    return events, weights


def test_training_is_the_same_to_the_last_bit_with_and_without_probes():
    changes = (EVERYTHING_RANDOM, FINE_TUNED)
    plain, weights = events_of(*changes)
    probed, same = events_of(*changes, probed_at(1 / 3, 0.5))
    for ours, theirs in zip(same, weights, strict=True):
        assert torch.equal(ours, theirs)

    def curve(events):
        return [(e.step, dict(e.metrics)) for e in events if isinstance(e, Progress)]

    def scores(events):
        (end,) = [event for event in events if isinstance(event, Finished)]
        return {k: v for k, v in end.metrics.items() if k.startswith("eval/")}

    assert curve(probed) == curve(plain)
    assert scores(probed) == scores(plain)


def test_a_probe_gives_validation_metrics_only_at_its_share_of_the_training():
    events, _ = events_of(probed_at(1 / 3, 0.5))
    probes = [event for event in events if isinstance(event, Probed)]
    assert [(p.step, p.share) for p in probes] == [(2, 1 / 3), (3, 0.5)]
    for probe in probes:
        assert set(probe.metrics) == {"eval/linear_validation_accuracy"}


def test_the_clock_stands_still_while_an_encoder_is_probed(monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(
        "d2v_core.training.loop.time.perf_counter", lambda: clock["now"]
    )
    trial = small_trial(probed_at(0.5), {"execution": {"log_every": 100}})
    for event in run_trial(trial, dataset=small_dataset()):
        if isinstance(event, Probed):
            clock["now"] += 1_000.0
        if isinstance(event, Progress):
            assert event.seconds == 0.0


def test_no_probe_falls_on_the_start_or_the_end():
    steps = probe_steps(small_trial(probed_at(0.01, 0.34, 0.99)))
    assert steps == {2: 0.34}
    untrained = {"objective": {"kind": "untrained"}}
    assert probe_steps(small_trial(untrained, probed_at(0.5))) == {}


def test_nothing_is_probed_once_numbers_stopped_being_finite():
    wild = {"optimizer": {"learning_rate": 1e30, "max_grad_norm": None}}
    never = {"execution": {"log_every": 100, "probe_at": [0.67]}}
    with pytest.raises(DivergedError, match="not finite"):
        events_of(wild, never)
