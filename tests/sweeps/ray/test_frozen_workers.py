"""Which workers are taken for frozen; with a real one: test_faults.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sweeps.ray import frozen_workers as frozen
from sweeps.ray.frozen_workers import FrozenWorkers


class Clock:
    """Stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(frozen, "time", clock)
    return clock


def pass_time(clock: Clock, workers: FrozenWorkers, seconds: int) -> None:
    for _ in range(seconds):
        clock.now += 1.0
        workers.look()


def test_only_what_promised_to_be_heard_and_is_not_is_ended(clock: Clock) -> None:
    killed: list[Any] = []
    workers = FrozenWorkers(killed.append)
    awake, frozen_one, quiet, over = (SimpleNamespace(trial_id=n) for n in "afqo")
    for trial in (awake, frozen_one, over):
        workers.heard(trial, 30.0)
    workers.heard(quiet, None)
    workers.over(over)
    pass_time(clock, workers, 25)
    workers.heard(awake, None)  # any message is a sign of life
    pass_time(clock, workers, 20)
    assert killed == [frozen_one]
    assert workers.seconds_frozen(frozen_one) == 30.0
    assert workers.seconds_frozen(awake) is None
    workers.heard(frozen_one, None)  # its next process
    assert workers.seconds_frozen(frozen_one) is None
    pass_time(clock, workers, 100)
    assert killed == [frozen_one, awake]


def test_a_driver_that_stood_still_itself_blames_nobody(clock: Clock) -> None:
    killed: list[Any] = []
    workers = FrozenWorkers(killed.append)
    trial = SimpleNamespace(trial_id="a")
    workers.heard(trial, 30.0)
    clock.now += 3_600.0
    pass_time(clock, workers, 25)
    assert not killed
    pass_time(clock, workers, 10)
    assert killed == [trial]
