"""Runs that somebody deletes in MLflow: noticed, told, logged or trained anew."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from ablations.study.arms import Request
from sweeps.driver.bookkeeper import Bookkeeper, open_tracker
from sweeps.driver.progress import Board, LiveView
from sweeps.plan.deleted import missing_deleted
from sweeps.plan.forecast import forecast
from sweeps.plan.forecast_view import summary
from sweeps.plan.planning import StudyPlan, plan_study
from sweeps.stopping import StopRequest
from sweeps.tracking.locks import TrialLocks
from sweeps.tracking.stores import Stores, choose_stores
from sweeps.tracking.tracker import Tracker
from tests.sweeps.tracking.test_labels import failed

pytestmark = pytest.mark.thorough
HISTORY = [(5, 1_000, {"train/loss": 2.0}), (10, 2_000, {"train/loss": 1.0})]


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return choose_stores(str(tmp_path), None)


@pytest.fixture(scope="module")
def plan() -> StudyPlan:
    """Three trials."""
    request = Request("vision", "smoke", ("target.top_k=2",), seeds=(0,))
    return plan_study("layer_averaging", request)


def books_of(
    plan: StudyPlan, stores: Stores, locks: TrialLocks, said: list[str]
) -> Bookkeeper:
    board = Board([plan], 1)
    view = LiveView(board, Console(file=io.StringIO()), on_say=said.append)
    names = {cell.key: "digits" for cell in plan.cells}
    opens = partial(open_tracker, stores, "test")
    stop = StopRequest(stores.storage)
    books = Bookkeeper([plan], opens, stores, view, names, locks, stop)
    books.open(make_command="test")
    return books


def train(plan: StudyPlan, stores: Stores, delete: str = "") -> list[str]:
    """Tell the books of a whole run, one deleted meanwhile; what they say of it."""
    said: list[str] = []
    with TrialLocks(stores.storage) as locks:
        books = books_of(plan, stores, locks, said)
        for cell in books.claim():
            key, spool = cell.key, books.trials.spool(cell)
            books.trial_started(key, 0, 10)
            books.trial_progressed(key, HISTORY[:1])
            spool.write_history(HISTORY)
            books._writer.ask(lambda: None)
            if key == delete:
                books.runs.tracker.client.delete_run(books.runs.run_of(key))
            books.trial_progressed(key, HISTORY[1:])
            record = failed(key=key, status="finished", metrics={"eval/x": 1.0})
            books.trial_ended(record, 3_000)
        books.close()
    return said


def test_a_run_deleted_meanwhile_is_logged_in_a_new_one(
    plan: StudyPlan, stores: Stores
) -> None:
    key = plan.cells[0].key
    said = train(plan, stores, delete=key)
    assert said == ["the run of K=2 · seed 0 was deleted: it is logged in a new one"]
    tracker = Tracker(stores, "test")
    assert not any(tracker.lacks(cell.key) for cell in plan.cells)
    known = tracker.find_trial(key)
    assert known is not None
    history = tracker.client.get_metric_history(known.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(5, 2.0), (10, 1.0)]
    assert missing_deleted(plan, tracker) == []


def test_a_run_deleted_before_is_trained_anew_with_a_line(
    plan: StudyPlan, stores: Stores
) -> None:
    assert train(plan, stores) == []
    tracker = Tracker(stores, "test")
    known = tracker.find_trial(plan.cells[0].key)
    assert known is not None
    tracker.client.delete_run(known.run_id)
    line = "layer_averaging: 1 runs were deleted there, trained anew: K=2 · seed 0"
    assert line in list(summary(forecast([plan], stores)))
    assert train(plan, stores) == [line]
    assert train(plan, stores) == []
