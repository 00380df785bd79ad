"""A trial that fails is a result: named, shown, retried; the others go on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from mlflow.entities import Run

from ablations.mlflow_names import TRIES_TAG
from ablations.record import FailedTry, Record
from sweeps.worker.spool import Spool
from tests.sweeps.command import TINY, Done, d2v
from tests.sweeps.driver.long_run import all_trials, client

pytestmark = pytest.mark.thorough
STUDY = """\
name: trouble
title: Every way to end
arms:
  - {name: ends well, set: {target.top_k: 2}}
  - {name: diverges, set: {optimizer.learning_rate: 1.0e+30, optimizer.warmup: 0}}
  - {name: needs 500 GB, set: {vision.width: 65536}}
  - {name: hangs, set: {target.top_k: 1, execution.silence_seconds: 0.05}}
  - {name: raises, set: {target.top_k: 4}}
seeds: 1
metric: {vision: linear_accuracy}
"""
ENDS = {
    "ends well": ("finished", ""),
    "diverges": ("diverged", "DivergedError: diverged at step"),
    "needs 500 GB": ("out_of_memory", "RuntimeError: "),
    "hangs": ("timed_out", "TimedOutError: no sign of life for 0.05 seconds"),
    "raises": ("failed", "ConfigError: "),
}


BROKE = FailedTry(status="failed", reason="it broke", ended=2_000)
"""Try of the arm that ends well, left at rest by a driver that died."""
COMMAND = ("trouble.yaml", *TINY)


@dataclass(frozen=True)
class Troubled:
    """A folder in which the study has been run twice, and what was there after each."""

    folder: Path
    first: Done
    runs: dict[str, Run]
    again: Done
    runs_again: dict[str, Run]


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Troubled:
    folder = tmp_path_factory.mktemp("troubled")
    (folder / "trouble.yaml").write_text(STUDY)
    planned = json.loads(d2v(folder, "plan", *COMMAND, "--json").out)["trials"]
    of_arm = {trial["arm"]: trial for trial in planned}
    key = of_arm["ends well"]["key"]
    leave_failure(spool_at(folder, key), key)
    damaged = spool_at(folder, of_arm["raises"]["training"]).checkpoint
    damaged.parent.mkdir(parents=True)
    torch.save({"version": 0}, damaged)  # whole, and of no version we read
    first = d2v(folder, "run", *COMMAND)
    runs = trials(folder)
    again = d2v(folder, "run", *COMMAND)
    return Troubled(folder, first, runs, again, trials(folder))


def test_each_trouble_has_its_status_and_the_others_go_on(troubled: Troubled) -> None:
    done = troubled.first
    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert troubled.runs.keys() == ENDS.keys()
    for arm, (status, reason) in ENDS.items():
        tags = troubled.runs[arm].data.tags
        assert tags["d2v.status"] == status
        assert tags.get("d2v.reason", "").startswith(reason)
        info = troubled.runs[arm].info
        assert info.status == ("FAILED" if reason else "FINISHED")
        if reason:
            assert f"{status}: {tags['d2v.key']}: {reason}" in done.out  # the list


def test_failed_trials_are_tried_again_and_others_not(troubled: Troubled) -> None:
    assert troubled.again.code == 1
    assert "1 cached" in troubled.again.out
    assert troubled.runs_again.keys() == ENDS.keys()
    assert len(all_trials(client(troubled.folder))) == len(ENDS)
    statuses = {arm: [t.status for t in tries(troubled, arm)] for arm in ENDS}
    twice = {arm: 2 * [status] for arm, (status, reason) in ENDS.items() if reason}
    assert statuses == {**twice, "ends well": ["failed"]}


def test_a_failure_that_a_dead_driver_left_is_written_down_and_tried_again(
    troubled: Troubled,
) -> None:
    assert tries(troubled, "ends well") == [BROKE]
    (ledger,) = troubled.folder.glob("d2v-runs/reports/*/ledger.json")
    assert BROKE.reason in ledger.read_text()


def tries(troubled: Troubled, arm: str) -> list[FailedTry]:
    text = troubled.runs_again[arm].data.tags.get(TRIES_TAG, "[]")
    return [FailedTry.model_validate(one) for one in json.loads(text)]


def spool_at(folder: Path, key: str) -> Spool:
    return Spool(folder / "d2v-runs" / "checkpoints" / key)


def leave_failure(spool: Spool, key: str) -> None:
    """As a driver does that dies before the store has it."""
    history = [(2, 1_000, {"train/loss": 0.5})]
    left = Record(
        **{"key": key, "status": BROKE.status, "reason": BROKE.reason, "seed": 0},
        **{"steps": 2, "num_parameters": 1, "metrics": {}, "environment": {}},
        **{"data_name": "digits", "data_digest": "0" * 16},
    )
    spool.write_record(left, BROKE.ended, history)


def trials(folder: Path) -> dict[str, Run]:
    runs = all_trials(client(folder))
    return {run.data.tags["d2v.arm"]: run for run in runs}
