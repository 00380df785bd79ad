"""The benchmark of sweeps measures what it says."""

from __future__ import annotations

import pytest

from benchmarks.orchestration import into_slots, measure


def test_a_slot_is_what_a_trial_leaves_for_the_next() -> None:
    trials = [(0.0, 5.0), (0.5, 5.2), (5.1, 9.0), (5.5, 9.9)]
    assert into_slots(trials) == [[trials[0], trials[2]], [trials[1], trials[3]]]


@pytest.mark.thorough
def test_a_whole_run_is_measured() -> None:
    found = measure("d2v run", num_trials=4, seconds=0.2)
    assert len(found.dead) in (2, 3)  # 3: a busy machine had one trial at a time
    assert min(found.dead) >= 0.0
    assert found.wall > found.first + found.last > 0.0
    assert found.mebibytes > 100
