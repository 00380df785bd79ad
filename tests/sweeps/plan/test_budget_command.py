"""``d2v run --budget`` as a user gives it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.sweeps.command import d2v
from tests.sweeps.driver.long_run import all_trials, client

STUDY = ("run", "layer_averaging", "--set", "target.top_k=2")
SIZE = ("--set", "training.num_steps=60")
BUDGET_SECONDS = 12
NUM_SEEDS = 40
SLACK_SECONDS = 100
"""For a busy machine, on which it takes many minutes without a budget."""


@pytest.mark.long
@pytest.mark.thorough
def test_a_budget_leaves_whole_seeds_and_the_next_goes_on(tmp_path: Path) -> None:
    long = ("--set", "training.num_steps=20000")
    refused = d2v(tmp_path, *STUDY, *long, "--seeds", "1", "--budget", "1s")
    assert refused.code == 2, refused.out
    assert "--budget" in refused.err
    assert not (tmp_path / "d2v-runs").exists()

    first = d2v(tmp_path, *STUDY, *SIZE, "--seeds", "1")
    assert first.code == 0, first.err
    within = (*STUDY, *SIZE, "--seeds", str(NUM_SEEDS))
    done = d2v(tmp_path, *within, "--budget", f"{BUDGET_SECONDS}s")
    assert done.code == 0, done.out + done.err
    assert "the budget leaves" in done.out
    arms = seeds_of_arms(tmp_path)
    (per_arm,) = set(arms.values())  # as many seeds for each
    assert set(arms) == {"K=2", "untrained", "supervised"}
    assert 1 < per_arm < NUM_SEEDS
    assert seconds(tmp_path) < BUDGET_SECONDS + SLACK_SECONDS

    d2v(tmp_path, *within, "--budget", f"{BUDGET_SECONDS}s")
    further = seeds_of_arms(tmp_path)
    (later,) = set(further.values())
    assert later > per_arm


def seeds_of_arms(folder: Path) -> Counter[str]:
    """Finished trials of each arm, every trial a seed of its own."""
    runs = all_trials(client(folder))
    assert {run.info.status for run in runs} == {"FINISHED"}
    places = {(run.data.tags["d2v.arm"], run.data.tags["d2v.seed"]) for run in runs}
    assert len(places) == len(runs)
    return Counter(arm for arm, _ in places)


def seconds(folder: Path) -> float:
    """From the first to the last event of the latest run."""
    latest = max((folder / "d2v-runs" / "events").iterdir())
    events = [json.loads(line) for line in latest.read_text().splitlines()]
    assert events[-1]["event"] == "run_ended"
    return float(events[-1]["time"] - events[0]["time"])
