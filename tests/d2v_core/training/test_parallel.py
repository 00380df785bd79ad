"""Two processes with half a batch each do what one does with all of it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from d2v_core.build import build_objective
from d2v_core.config import TrialConfig, parse_trial
from d2v_core.encoders.inputs import Padded
from d2v_core.errors import ConfigError
from d2v_core.modalities import modality_of
from d2v_core.training.events import CheckpointDue, Finished, Progress, Trained
from d2v_core.training.parallel import ALONE, PeerLostError, Workers
from d2v_core.trial import run_trial
from tests.d2v_core.small import EVERYTHING_RANDOM, SMALL, merged, small_dataset
from tests.d2v_core.small_objectives import OTHERS
from tests.d2v_core.small_speech import (
    SMALL_SPEECH,
    SPEECH_RANDOM,
    small_speech_dataset,
)
from tests.d2v_core.small_text import SMALL_TEXT, small_text_dataset
from tests.d2v_core.updates import update

SUPERVISED = {"objective": {"kind": "supervised"}}
BATCH_NORM = {"target": {"layer_norm": "batch", "final_norm": "batch"}}
UNEVEN = {"mask": {"kind": "span", "span": 4, "same_count": False}}
BERT = {"mask": {"kind": "bert", "probability": 0.4}}
AUGMENTED = {"augmentation": EVERYTHING_RANDOM["augmentation"]}
SECOND = {
    "objective": {
        "kind": "data2vec2",
        "num_masks": 3,
        "decoder": {"width": 16, "depth": 2},
    }
}
BLOCKS = {"mask": {"kind": "inverse_block", "ratio": 0.6, "block": 2}}
DERIVED = {
    *("positions", "kept", "kept_rows", "kept_at", "targets_at", "rows"),
    *("first_rows", "distractors", "noise"),
}
"""Parts of a draw that are of its mask, not of the batch."""
BASES = {"vision": SMALL, "speech": SMALL_SPEECH, "text": SMALL_TEXT}
CASES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "vision": ("vision", {}),
    "vision, augmented": ("vision", AUGMENTED),
    "vision, crops": ("vision", {"augmentation": {"kind": "resized_crop"}}),
    "vision, batch norm": ("vision", BATCH_NORM),
    "vision, several masks": ("vision", SECOND),
    "vision, supervised": ("vision", SUPERVISED),
    "speech": ("speech", {}),
    "speech, uneven": ("speech", UNEVEN),
    "speech, several masks": ("speech", {**SECOND, **BLOCKS}),
    "speech, supervised": ("speech", SUPERVISED),
    "text": ("text", {}),
    "text, bert": ("text", BERT),
    "text, batch norm": ("text", BATCH_NORM),
    "text, reference bug": ("text", {"teacher": {"input": "reference_bug"}}),
    "text, several masks": ("text", {**SECOND, **BLOCKS}),
    "text, supervised": ("text", SUPERVISED),
    **OTHERS,
}


def trial_of(case: str, *changes: Mapping[str, Any]) -> TrialConfig:
    modality, change = CASES[case]
    data: dict[str, Any] = merged(BASES[modality], change)
    for more in changes:
        data = merged(data, more)
    return parse_trial(data)


def dataset_of(case: str) -> Any:
    made: dict[str, Callable[[], Any]] = {
        "vision": small_dataset,
        "speech": small_speech_dataset,
        "text": small_text_dataset,
    }
    return made[CASES[case][0]]()


def gradients(case: str, workers: Workers) -> tuple[float, torch.Tensor]:
    """Loss and gradients of the first update."""
    trial, data = trial_of(case), dataset_of(case)
    objective = build_objective(trial, num_classes=len(data.classes), workers=workers)
    inputs, labels = modality_of(trial).batches(trial, data, workers)(1)
    result = update(objective, inputs, labels, 1)
    result.loss.backward()
    parameters = list(objective.module.parameters())
    loss = workers.combine(parameters, result.loss.detach(), result.num_terms)
    found = [p.grad.flatten() for p in parameters if p.grad is not None]
    return float(loss), torch.cat(found)


def trained(
    case: str, change: Mapping[str, Any], workers: Workers
) -> tuple[list[Mapping[str, float]], dict[str, torch.Tensor]]:
    """Metrics of every update, and the weights after the last."""
    events = run_trial(
        trial_of(case, change), dataset=dataset_of(case), workers=workers
    )
    curve: list[Mapping[str, float]] = []
    for event in events:
        if isinstance(event, Progress):
            curve.append(event.metrics)
        if isinstance(event, Trained):
            objective = event.state.objective
            weights = {**objective.module.state_dict(), **objective.extra_state()}
            return curve, {k: v.detach().clone() for k, v in weights.items()}
    raise AssertionError("it did not end")


def serve(rank: int, file: str, tasks: Any, results: Any) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{file}", rank=rank, world_size=2
    )
    while task := tasks.get():
        results.put((rank, task(Workers.joined())))


class Two:
    """Two processes of one group."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._results = context.Queue()
        self._tasks = [context.Queue() for _ in range(2)]
        self.processes = [
            context.Process(
                target=serve, args=(rank, f"{folder}/meet", queue, self._results)
            )
            for rank, queue in enumerate(self._tasks)
        ]
        for process in self.processes:
            process.start()

    def order(self, task: Callable[[Workers], Any]) -> None:
        for queue in self._tasks:
            queue.put(task)

    def result(self) -> tuple[int, Any]:
        rank, found = self._results.get(timeout=400)
        return rank, found

    def __call__(self, task: Callable[[Workers], Any]) -> list[Any]:
        """What a task gives in each."""
        self.order(task)
        found = dict(self.result() for _ in self._tasks)
        return [found[0], found[1]]

    def end(self) -> None:
        for queue in self._tasks:
            queue.put(None)
        for process in self.processes:
            process.join(timeout=60)
            process.kill()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    pair = Two(tmp_path_factory.mktemp("two"))
    yield pair
    pair.end()


@pytest.mark.parametrize("case", CASES)
def test_the_shares_of_a_batch_and_its_mask_are_the_whole(case: str) -> None:
    trial, data = trial_of(case), dataset_of(case)
    modality = modality_of(trial)

    def made(workers: Workers) -> tuple[Any, Any, Any]:
        inputs, labels = modality.batches(trial, data, workers)(3)
        objective = build_objective(
            trial, num_classes=len(data.classes), workers=workers
        )
        return inputs, labels, objective.draw(inputs, 3)

    whole, shares = made(ALONE), [made(Workers(rank, 2)) for rank in range(2)]
    size = trial.training.batch_size // 2
    for share, rows in zip(shares, (slice(0, size), slice(size, None)), strict=True):
        same_rows(share[0], whole[0], rows)
        same_rows(share[1], whole[1], rows)
        for field in fields(whole[2]):
            if field.name in DERIVED:
                continue
            both = (getattr(drawn, field.name) for drawn in (share[2], whole[2]))
            same_rows(*both, rows)


def same_rows(share: Any, whole: Any, rows: slice) -> None:
    if whole is None:
        assert share is None
        return
    if not isinstance(whole, Padded):
        assert torch.equal(share, whole[rows])
        return
    assert share.lengths == whole.lengths[rows]
    width = share.values.shape[1]
    assert torch.equal(share.values, whole.values[rows, :width])


@pytest.mark.parametrize("case", ["speech, uneven", "text", "text, bert", "vision"])
def test_the_halves_of_these_cases_have_unequal_numbers_of_masked_positions(
    case: str,
) -> None:
    trial, data = trial_of(case), dataset_of(case)
    modality = modality_of(trial)
    draw: Any = build_objective(trial, num_classes=len(data.classes)).draw
    make = modality.batches(trial, data)
    masks = [draw(make(step)[0], step).mask for step in range(1, 6)]
    counts = [[int(half.sum()) for half in mask.chunk(2)] for mask in masks]
    assert any(first != second for first, second in counts)


@pytest.mark.parametrize("case", CASES)
def test_two_give_the_loss_and_gradients_of_one(two: Two, case: str) -> None:
    loss, grads = gradients(case, ALONE)
    for half_loss, half_grads in two(partial(gradients, case)):
        assert half_loss == pytest.approx(loss, rel=1e-5)
        torch.testing.assert_close(
            half_grads, grads, rtol=1e-4, atol=1e-5 * float(grads.abs().max())
        )


@pytest.mark.parametrize("case", CASES)
def test_two_train_as_one(two: Two, case: str) -> None:
    curve, weights = trained(case, {}, ALONE)
    assert len(curve) == 6
    first, second = two(partial(trained, case, {}))
    for mine, theirs in zip(curve, first[0], strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            rel = 1e-3 if "rank" in name else 1e-4
            assert theirs[name] == pytest.approx(value, rel=rel, abs=1e-5), name
        assert theirs["train/loss"] == pytest.approx(mine["train/loss"], rel=1e-5)
    assert first[0] == second[0]
    assert first[1].keys() == weights.keys()
    for name, value in first[1].items():
        assert torch.equal(value, second[1][name]), name
        torch.testing.assert_close(value, weights[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("case", "change"),
    [("vision", EVERYTHING_RANDOM), ("speech", SPEECH_RANDOM)],
)
def test_with_dropout_each_draws_its_own_and_all_stay_together(
    two: Two, case: str, change: Mapping[str, Any]
) -> None:
    first, second = two(partial(trained, case, change))
    assert first[0] == second[0]
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])
    once_more, _ = two(partial(trained, case, change))
    assert once_more[0] == first[0]
    assert first[0] != trained(case, change, ALONE)[0]
    assert Workers(0, 2).stream("dropout") == "dropout"
    assert Workers(1, 2).stream("dropout") != "dropout"


def interrupted(file: str, until: int, workers: Workers) -> tuple[str, int, Any]:
    """Train on, stop after an update; last event, update, metrics."""
    steps: list[int] = []
    events = run_trial(
        trial_of("vision", {"evaluation": {"l2_grid": [0.1, 1.0]}}),
        checkpoint=Path(file),
        dataset=dataset_of("vision"),
        # Only the first is asked: the others would never stop.
        stop_wanted=lambda: workers.rank == 0 and steps[-1] >= until,
        workers=workers,
    )
    metrics: Mapping[str, float] = {}
    for event in events:
        if isinstance(event, Progress):
            steps.append(event.step)
        if isinstance(event, CheckpointDue | Trained) and workers.rank == 0:
            event.save(Path(file))
        if isinstance(event, Finished):
            metrics = event.metrics
    return type(event).__name__, steps[-1] if steps else 0, metrics


def test_a_stop_of_the_first_stops_both_and_resuming_changes_no_bit(
    two: Two, tmp_path: Path
) -> None:
    straight, resumed = tmp_path / "straight.pt", tmp_path / "resumed.pt"
    ends = two(partial(interrupted, str(straight), 99))
    assert [end[:2] for end in ends] == [("Finished", 6), ("Trained", 6)]

    stopped = two(partial(interrupted, str(resumed), 3))
    assert [end[:2] for end in stopped] == [("CheckpointDue", 3)] * 2
    again = two(partial(interrupted, str(resumed), 99))
    assert [end[:2] for end in again] == [("Finished", 6), ("Trained", 6)]

    files = [torch.load(f, weights_only=True) for f in (straight, resumed)]
    for part in ("module", "extra"):
        one, other = files[0][part], files[1][part]
        assert all(torch.equal(one[name], other[name]) for name in one)
    for mine, theirs in zip(
        *(f["optimizer"]["state"].values() for f in files), strict=True
    ):
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    for name, value in ends[0][2].items():
        assert name.startswith("cost/") or again[0][2][name] == value


def differently_far(workers: Workers) -> str:
    try:
        workers.check_step(workers.rank)
    except PeerLostError as error:
        return str(error)
    return ""


def test_workers_that_read_other_checkpoints_do_not_train(two: Two) -> None:
    assert two(differently_far) == ["", "worker 1 starts at update 1, the first at 0"]


def until_one_leaves(workers: Workers) -> str:
    try:
        for event in run_trial(
            trial_of("vision"), dataset=dataset_of("vision"), workers=workers
        ):
            if isinstance(event, Progress) and event.step == 2 and workers.rank:
                os._exit(1)
    except PeerLostError as error:
        return str(error)
    return "it noticed nothing"


@pytest.mark.thorough
def test_the_death_of_another_has_its_own_error(tmp_path: Path) -> None:
    pair = Two(tmp_path)
    pair.order(until_one_leaves)
    rank, found = pair.result()
    assert rank == 0
    assert found.startswith("the other workers do not answer: ")
    pair.end()


def test_a_parameter_without_gradient_anywhere_keeps_none(two: Two) -> None:
    assert two(who_has_gradients) == [[True, True, False]] * 2


def who_has_gradients(workers: Workers) -> list[bool]:
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(3)]
    parameters[0].grad = torch.ones(2)
    if workers.rank:
        parameters[1].grad = torch.ones(2)
    loss = workers.combine(
        parameters, torch.tensor(1.0 + workers.rank), 1 + workers.rank
    )
    assert float(loss) == pytest.approx((1.0 * 1 + 2.0 * 2) / 3)
    if parameters[1].grad is not None:
        assert parameters[1].grad.tolist() == pytest.approx([2 / 3, 2 / 3])
    return [parameter.grad is not None for parameter in parameters]


@pytest.mark.parametrize(
    ("execution", "message"),
    [
        (
            {"num_workers": 3},
            "execution.num_workers: must divide training.batch_size (8), got 3",
        ),
        (
            {"num_workers": 2, "num_gpus": 0.5},
            "execution.num_gpus: must be 0 or 1 with several workers, each needs a GPU "
            "of its own, got 0.5",
        ),
    ],
)
def test_impossible_numbers_of_workers_are_refused(
    execution: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        trial_of("vision", {"execution": execution})
    assert message in str(error.value)
