"""A trial that fails is a result: named, shown, retried; the others go on."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from tests.sweeps.command import d2v

COMMAND = (
    *("run", "layer_averaging", "--seeds", "1", "--set", "target.top_k=2"),
    *("--set", "training.num_steps=8", "--set", "execution.log_every=2"),
    *("--set", "optimizer.learning_rate=1.0e30", "--set", "optimizer.warmup=0"),
)


def test_a_diverged_trial_is_recorded_and_the_others_finish(tmp_path: Path) -> None:
    done = d2v(tmp_path, *COMMAND)
    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert "DivergedError: diverged at step" in done.out
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/d2v-runs/mlflow.db")
    experiment = client.get_experiment_by_name("layer_averaging")
    runs = client.search_runs([experiment.experiment_id], "tags.`d2v.role` = 'trial'")
    by_arm = {run.data.tags["d2v.arm"]: run for run in runs}
    failed = by_arm["K=2"]
    assert failed.info.status == "FAILED"
    assert failed.data.tags["d2v.status"] == "diverged"
    assert failed.data.tags["d2v.reason"].startswith("DivergedError: diverged at step")
    assert by_arm["untrained"].data.tags["d2v.status"] == "finished"

    again = d2v(tmp_path, *COMMAND)
    assert again.code == 1
    runs = client.search_runs([experiment.experiment_id], "tags.`d2v.role` = 'trial'")
    assert len(runs) == len(by_arm)
    assert "1 cached" in again.out
