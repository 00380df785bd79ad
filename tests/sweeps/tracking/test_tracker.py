"""What a driver that dies in the middle of a write leaves is put right by the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from ablations.study.arms import Request
from sweeps.plan.planning import make_manifest, plan_study
from sweeps.tracking.stores import choose_stores
from sweeps.tracking.tracker import Tracker
from sweeps.worker.spool import Spool
from tests.sweeps.command import Here
from tests.sweeps.conftest import COMMAND, Lab
from tests.sweeps.tracking.test_labels import failed


def test_a_trial_counts_as_done_only_once_all_else_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker(choose_stores(str(tmp_path), None), "test")
    plan = plan_study("layer_averaging", Request("vision", "smoke", seeds=(0,)))
    parent = tracker.open_study(plan, make_manifest(plan, "test"))
    cell = plan.cells[0]
    run_id = tracker.begin_trial(cell, plan, parent)
    finished = failed(key=cell.key, status="finished", metrics={"eval/x": 1.0})
    write = MlflowClient.log_batch

    def dies(client: MlflowClient, run: str, **content: Any) -> None:
        if content.get("tags"):
            raise RuntimeError("the driver is killed here")
        write(client, run, **content)

    monkeypatch.setattr(MlflowClient, "log_batch", dies)
    with pytest.raises(RuntimeError, match="killed here"):
        tracker.finish_trial(run_id, finished, 1_000)
    assert tracker.lacks(cell.key)
    assert tracker.client.get_run(run_id).info.status == "FINISHED"

    monkeypatch.setattr(MlflowClient, "log_batch", write)
    assert tracker.begin_trial(cell, plan, parent) == run_id
    tracker.finish_trial(run_id, finished, 1_000)
    assert not tracker.lacks(cell.key)


def test_a_trials_tags_say_which_it_is(tmp_path: Path) -> None:
    tracker = Tracker(choose_stores(str(tmp_path), None), "test")
    plan = plan_study("layer_averaging", Request("vision", "smoke", seeds=(3,)))
    parent = tracker.open_study(plan, make_manifest(plan, "test"))
    cell = next(cell for cell in plan.cells if cell.arm.label == "K=2")
    tags = tracker.client.get_run(tracker.begin_trial(cell, plan, parent)).data.tags
    assert tags["d2v.arm"] == tags["d2v.study.layer_averaging"] == "K=2"
    assert tags["d2v.seed"] == "3"
    assert tags["d2v.key"] == cell.key
    assert tags["mlflow.parentRunId"] == parent


def test_a_result_takes_away_what_an_earlier_try_said(tmp_path: Path) -> None:
    tracker = Tracker(choose_stores(str(tmp_path), None), "test")
    plan = plan_study("layer_averaging", Request("vision", "smoke", seeds=(0,)))
    parent = tracker.open_study(plan, make_manifest(plan, "test"))
    cell = plan.cells[0]
    run_id = tracker.begin_trial(cell, plan, parent)
    tracker.finish_trial(run_id, failed(key=cell.key, notes=("a trace",)), 1_000)
    tags = tracker.client.get_run(run_id).data.tags
    assert (tags["d2v.reason"], tags["d2v.notes"]) == ("it broke", "a trace")
    finished = failed(key=cell.key, status="finished", reason="", metrics={})
    tracker.finish_trial(run_id, finished, 2_000)
    tags = tracker.client.get_run(run_id).data.tags
    assert not {"d2v.reason", "d2v.notes"} & tags.keys()
    assert "d2v.failed_tries" in tags
    assert all(tags.values())


def test_what_lies_at_rest_of_a_trial_that_is_in_the_store_is_dropped(
    lab: Lab, here: Here
) -> None:
    key = lab.trials()[0].data.tags["d2v.key"]
    spool = Spool(lab.folder / "d2v-runs" / "checkpoints" / key)
    spool.write_record(failed(key=key, status="finished"), 1_000)
    again = here(lab.folder, *COMMAND)
    assert again.code == 0, again.err
    assert "nothing to train" in again.out
    assert not spool.folder.exists()
