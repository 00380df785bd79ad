"""Ctrl-C leaves a consistent store, and the same command continues."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.sweeps.command import d2v, environment

COMMAND = (
    *("run", "layer_averaging", "--seeds", "1", "--set", "training.num_steps=300"),
    *("--set", "target.top_k=2", "--set", "execution.checkpoint_every_seconds=0.5"),
)


def trials(folder: Path) -> dict[str, Run]:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/d2v-runs/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, "tags.`d2v.role` = 'trial'")
    return {run.data.tags["d2v.key"]: run for run in runs}


def wait_for_checkpoint(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob("d2v-runs/checkpoints/*/checkpoint.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.1)


def test_an_interrupted_run_continues_and_ends_like_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    stopped, straight = tmp_path / "stopped", tmp_path / "straight"
    stopped.mkdir()
    straight.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "d2v_cli", *COMMAND],
        cwd=stopped,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for_checkpoint(stopped, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "stopped before the end; the same command continues" in output
    assert "Traceback" not in output
    assert {run.info.status for run in trials(stopped).values()} <= {
        "KILLED",
        "FINISHED",
    }
    killed = {key for key, r in trials(stopped).items() if r.info.status == "KILLED"}
    assert killed

    again = d2v(stopped, *COMMAND)
    assert again.code == 0, again.out + again.err
    undisturbed = d2v(straight, *COMMAND)
    assert undisturbed.code == 0, undisturbed.err
    ours, theirs = trials(stopped), trials(straight)
    assert set(ours) == set(theirs)
    assert len(ours) == 3
    for key, run in ours.items():
        assert run.info.status == "FINISHED"
        for name, value in theirs[key].data.metrics.items():
            if not name.startswith("cost/"):
                assert run.data.metrics[name] == value, (key, name)
        assert history(stopped, run) == history(straight, theirs[key])


def history(folder: Path, run: Run) -> list[tuple[int, float]]:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/d2v-runs/mlflow.db")
    entries = client.get_metric_history(run.info.run_id, "train/loss")
    return sorted((entry.step, entry.value) for entry in entries)
