"""A study long enough to be disturbed, and what must come out whatever happened."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.sweeps.command import environment
from tests.sweeps.warm import Running

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
NUM_STEPS = 300
LONG = (
    *("run", "layer_averaging", "--seeds", "1"),
    *("--set", f"training.num_steps={NUM_STEPS}"),
    *("--set", "target.top_k=2", "--set", "execution.checkpoint_every_seconds=0.5"),
)
"""Three trials: K=2, untrained, supervised."""
ALONE = """\
name: alone
title: One trial of the long run
arms: [{name: two, set: {target.top_k: 2}}]
seeds: 1
metric: {vision: linear_accuracy}
"""


def start(folder: Path, *arguments: str, **extra: str) -> Running:
    """The command in the background, in a session of its own (its imports are paid)."""
    return Running(folder, arguments, environment(**extra))


@contextmanager
def running(folder: Path, *arguments: str, **extra: str) -> Iterator[Running]:
    """:func:`start`; whatever is left of it is ended with the context."""
    process = start(folder, *arguments, **extra)
    try:
        yield process
    finally:
        process.close()
        end_ray_of(process.pid)


def alone(folder: Path) -> tuple[str, ...]:
    """The command that trains only the trial K=2 of the long run."""
    (folder / "alone.yaml").write_text(ALONE)
    return ("run", "alone.yaml", *LONG[4:])


def wait_until(
    happened: Callable[[], object], process: Running, seconds: float = 300
) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob("d2v-runs/checkpoints/*/checkpoint.pt"))


def num_in_the_middle(folder: Path) -> int:
    """Trials whose checkpoint lies between the first and the last update."""
    found = 0
    for file in checkpoints(folder):
        try:
            step = torch.load(file, weights_only=True)["step"]
        except OSError:  # its trial has just ended
            continue
        found += 0 < step < NUM_STEPS
    return found


def workers_of(process: Running) -> list[int]:
    """Processes of Ray in which a trial of this driver runs, which may be dead."""
    session = process.pid  # see start
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            title = (entry / "cmdline").read_bytes().decode(errors="replace")
            same = os.getsid(int(entry.name)) == session
        except (OSError, ProcessLookupError):
            continue
        idle = "IDLE" in title or "Agent" in title
        if same and title.startswith("ray::") and not idle:
            found.append(int(entry.name))
    return found


def end_ray_of(session: int) -> None:
    """End what a killed driver has left behind."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getsid(int(entry.name)) == session:
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue


def client(folder: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{folder}/d2v-runs/mlflow.db")


def all_trials(store: MlflowClient) -> list[Run]:
    experiments = [e.experiment_id for e in store.search_experiments()]
    return list(store.search_runs(experiments, "tags.`d2v.role` = 'trial'"))


def trials_so_far(folder: Path) -> list[Run]:
    """Trials of a run that may not have made its store yet."""
    if not (folder / "d2v-runs" / "mlflow.db").exists():
        return []
    return all_trials(client(folder))


def results(store: MlflowClient) -> dict[str, dict[str, object]]:
    """By key: metrics without costs, status, curve and record; one run per key."""
    runs = all_trials(store)
    keys = [run.data.tags["d2v.key"] for run in runs]
    assert len(keys) == len(set(keys)), "a trial has a second run"
    found: dict[str, dict[str, object]] = {}
    for run in runs:
        curve = store.get_metric_history(run.info.run_id, "train/loss")
        assert [p.step for p in curve] == sorted({p.step for p in curve}), "order"
        found[run.data.tags["d2v.key"]] = {
            "run": run.info.status,
            "status": run.data.tags.get("d2v.status"),
            "curve": [(point.step, point.value) for point in curve],
            "record": record(store, run),
            **{k: v for k, v in run.data.metrics.items() if not k.startswith("cost/")},
        }
    return found


def record(store: MlflowClient, run: Run) -> dict[str, object]:
    """What does not depend on the machine's speed or place."""
    with tempfile.TemporaryDirectory() as folder:
        file = store.download_artifacts(run.info.run_id, "record.json", folder)
        content: dict[str, object] = json.loads(Path(file).read_text())
    metrics = content["metrics"]
    assert isinstance(metrics, dict)
    content["metrics"] = {k: v for k, v in metrics.items() if not k.startswith("cost/")}
    content.pop("environment")
    return content


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    """The lines with this event, of all runs in their order."""
    files = sorted(folder.glob("d2v-runs/events/*.jsonl"), key=os.path.getmtime)
    lines = [line for file in files for line in file.read_text().splitlines()]
    found = [json.loads(line) for line in lines]
    return [event for event in found if event["event"] == name]


def starts(folder: Path) -> dict[str, list[int]]:
    """By key: the update at which each of its attempts has begun."""
    begun: dict[str, list[int]] = {}
    for event in events(folder, "trial_started"):
        begun.setdefault(event["key"], []).append(event["step"])
    return begun
