"""A trial that fails is a result: named, shown, retried; the others go on."""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.entities import Run

from ablations.mlflow_names import TRIES_TAG
from ablations.record import FailedTry, Record
from sweeps.worker.spool import Spool
from tests.sweeps.command import TINY, d2v
from tests.sweeps.driver.long_run import all_trials, client

STUDY = """\
name: trouble
title: Every way to end
arms:
  - {name: ends well, set: {target.top_k: 2}}
  - {name: diverges, set: {optimizer.learning_rate: 1.0e+30, optimizer.warmup: 0}}
  - {name: needs 800 GB, set: {vision.width: 262144}}
  - {name: hangs, set: {target.top_k: 1, execution.silence_seconds: 0.05}}
  - {name: raises, set: {target.top_k: 4}}
seeds: 1
metric: {vision: linear_accuracy}
"""
ENDS = {
    "ends well": ("finished", ""),
    "diverges": ("diverged", "DivergedError: diverged at step"),
    "needs 800 GB": ("out_of_memory", "RuntimeError: "),
    "hangs": ("timed_out", "TimedOutError: no sign of life for 0.05 seconds"),
    "raises": ("failed", "ConfigError: "),
}


def test_each_trouble_has_its_status_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "trouble.yaml").write_text(STUDY)
    command = ("run", "trouble.yaml", *TINY)
    damage_checkpoint(tmp_path, arm="raises")
    done = d2v(tmp_path, *command)
    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.out + done.err
    by_arm = trials(tmp_path)
    for arm, (status, reason) in ENDS.items():
        tags = by_arm[arm].data.tags
        assert tags["d2v.status"] == status
        assert tags["d2v.reason"].startswith(reason)
        assert by_arm[arm].info.status == ("FAILED" if reason else "FINISHED")
        if reason:
            assert f"{status}: {tags['d2v.key']}: {reason}" in done.out  # the list

    again = d2v(tmp_path, *command)
    assert again.code == 1
    assert "1 cached" in again.out
    assert trials(tmp_path).keys() == by_arm.keys()
    assert len(all_trials(client(tmp_path))) == len(by_arm)
    for arm, run in trials(tmp_path).items():
        tries = json.loads(run.data.tags.get(TRIES_TAG, "[]"))
        assert [t["status"] for t in tries] == 2 * [ENDS[arm][0]] * bool(ENDS[arm][1])


def test_a_failure_that_a_dead_driver_left_is_written_down_and_tried_again(
    tmp_path: Path,
) -> None:
    command = ("layer_averaging", *TINY, "--set=target.top_k=2", "--seeds=1")
    planned = json.loads(d2v(tmp_path, "plan", *command, "--json").out)["trials"]
    (key,) = [trial["key"] for trial in planned if trial["arm"] == "K=2"]
    spool = Spool(tmp_path / "d2v-runs" / "checkpoints" / key)
    spool.write_history([(2, 1_000, {"train/loss": 0.5})])
    left = Record(
        **{"key": key, "status": "failed", "reason": "it broke", "seed": 0, "steps": 2},
        **{"num_parameters": 1, "metrics": {}, "environment": {}},
        **{"data_name": "digits", "data_digest": "0" * 16},
    )
    spool.write_record(left, 2_000)

    done = d2v(tmp_path, "run", *command)
    assert done.code == 0, done.out + done.err
    tags = trials(tmp_path)["K=2"].data.tags
    assert tags["d2v.status"] == "finished"
    tries = [FailedTry.model_validate(one) for one in json.loads(tags[TRIES_TAG])]
    assert tries == [FailedTry(status="failed", reason="it broke", ended=2_000)]
    report = tmp_path.glob("d2v-runs/reports/*/ledger.json")
    assert "it broke" in next(report).read_text()


def trials(folder: Path) -> dict[str, Run]:
    runs = all_trials(client(folder))
    return {run.data.tags["d2v.arm"]: run for run in runs}


def damage_checkpoint(folder: Path, arm: str) -> None:
    """What a trial of this arm would continue from cannot be read."""
    planned = d2v(folder, "plan", "trouble.yaml", *TINY, "--json")
    found = json.loads(planned.out)["trials"]
    (key,) = [trial["key"] for trial in found if trial["arm"] == arm]
    file = folder / "d2v-runs" / "checkpoints" / key / "checkpoint.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not a checkpoint")
