"""What the driver makes of a trial whose process died once too often."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle

from ablations.record import Record
from sweeps.listener import Listener
from sweeps.ray import frozen_workers as frozen
from sweeps.ray import tune_callback
from sweeps.ray.frozen_workers import START_SECONDS
from sweeps.ray.memory_kills import LowMemoryError
from sweeps.ray.tune_callback import ListenerCallback
from sweeps.worker.spool import Spool
from tests.sweeps.ray.test_frozen_workers import Clock
from tests.sweeps.tracking.test_labels import failed

HISTORY = [(5, 1_000, {"train/loss": 0.5})]


class Heard(Listener):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.messages: list[tuple[Any, ...]] = []

    def trial_progressed(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        self.messages.append(("progressed", key, progress))

    def trial_ended(self, record: Record, timestamp: int) -> None:
        self.messages.append(("ended", record, timestamp))

    def trial_lost(self, key: str, status: str, reason: str) -> None:
        self.messages.append(("lost", key, status, reason))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(frozen, "time", clock)
    return clock


@pytest.fixture
def callback(
    heard: Heard, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> ListenerCallback:
    monkeypatch.setattr(tune_callback, "num_dead_nodes", lambda: 0)
    return ListenerCallback(heard)


def dead(folder: Path, error: Exception | None = None) -> SimpleNamespace:
    """One of Tune's trials, as far as it is looked at."""
    file = None
    if error is not None:
        file = str(folder / "error.pkl")
        Path(file).write_bytes(cloudpickle.dumps(error))
    config = {"key": "k", "job": json.dumps({"folder": str(folder), "training": "t"})}
    name = {"trial_id": "k", "config": config}
    return SimpleNamespace(**name, num_failures=3, pickled_error_file=file)


def test_a_result_that_was_written_down_before_the_last_death_counts(
    tmp_path: Path, callback: ListenerCallback, heard: Heard
) -> None:
    finished = failed(status="finished", reason="", metrics={"eval/x": 1.0})
    Spool(tmp_path).write_record(finished, 2_000, HISTORY)
    callback.on_trial_error(0, [], dead(tmp_path))
    assert heard.messages == [("progressed", "k", HISTORY), ("ended", finished, 2_000)]


def test_a_result_that_was_heard_is_not_lost_afterwards(
    tmp_path: Path, callback: ListenerCallback, heard: Heard
) -> None:
    trial, record = dead(tmp_path), failed(status="finished", reason="")
    result = {"record": record.model_dump_json(), "time": 2_000}
    callback.on_trial_result(0, [], trial, result)
    callback.on_trial_error(0, [], trial)
    assert heard.messages == [("ended", record, 2_000)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "failed"),
        (ValueError("any"), "failed"),
        (LowMemoryError("low"), "out_of_memory"),
    ],
)
def test_without_a_result_it_is_lost_and_says_why(
    tmp_path: Path,
    callback: ListenerCallback,
    heard: Heard,
    error: Exception | None,
    status: str,
) -> None:
    callback.on_trial_error(0, [], dead(tmp_path, error))
    ((what, key, given, reason),) = heard.messages
    assert (what, key, given) == ("lost", "k", status)
    assert reason.startswith("the worker process died 3 times")


def test_a_trial_whose_last_process_was_frozen_has_timed_out(
    tmp_path: Path, callback: ListenerCallback, heard: Heard, clock: Clock
) -> None:
    trial = dead(tmp_path)
    execution = {"silence_seconds": 20.0, "num_workers": 1}
    job = {"folder": str(tmp_path), "training": "t", "trial": {"execution": execution}}
    trial.config["job"] = json.dumps(job)
    trial.temporary_state = SimpleNamespace(ray_actor=None)  # being started again
    callback.on_trial_start(0, [], trial)
    for _ in range(int(20.0 + START_SECONDS) + 1):
        clock.now += 1.0
        callback.on_step_end(0, [])
    callback.on_trial_error(0, [], trial)
    ((what, key, given, reason),) = heard.messages
    assert (what, key, given) == ("lost", "k", "timed_out")
    assert reason.endswith("the last one had been frozen for 80 seconds")
