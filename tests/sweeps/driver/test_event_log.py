"""What a run leaves for machines to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ablations.study.arms import Request
from sweeps.driver.event_log import EventLog
from sweeps.driver.outcome import Outcome
from sweeps.driver.progress import Board
from sweeps.plan.planning import plan_study, unique_trials
from sweeps.tracking.stores import Stores


@pytest.fixture
def board() -> Board:
    plan = plan_study("layer_averaging", Request("vision", "smoke", seeds=(0,)))
    board = Board([plan], num_parallel_trials=2)
    for cell in unique_trials([plan]).values():
        board.add(cell, "waiting")
    return board


def lines(log: EventLog) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.file.read_text().splitlines()]


def test_every_event_is_a_line(tmp_path: Path, board: Board) -> None:
    log = EventLog(tmp_path, board)
    stores = Stores(tmp_path, "postgresql://me:secret@host/db")
    key = next(iter(board.trials))
    log.run_started("d2v run", board.plans, stores)
    log.claimed()
    log.trial_started(key, 0, 10)
    board.trials[key].state = "running"
    log.trial_progressed(key, [(1, 0, {})])
    log.trial_progressed(key, [(2, 0, {})])  # too soon
    log.trial_lost(key, "failed", "its process died")
    log.trial_given_up(key, "stopped early at update 30 with 12.00")
    log.run_ended(Outcome())
    events = lines(log)
    names = [event["event"] for event in events]
    assert names == [
        *("run_started", "claimed", "trial_started"),
        *("progress", "trial_ended", "trial_ended", "run_ended"),
    ]
    assert "secret" not in log.file.read_text()
    assert events[0]["trials"][key]["arm"] == "K=1"
    assert key in events[1]["to_train"]
    assert events[3]["counts"]["running"] == 1
    assert events[3]["steps"] == {key: 0}
    assert [e["time"] for e in events] == sorted(e["time"] for e in events)


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, board: Board):
    (tmp_path / "events").write_text("a file where the folder should be")
    EventLog(tmp_path, board).message("nobody reads this")
