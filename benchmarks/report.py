"""How planning and reporting grow with the store: 100, 1,000, 10,000 trials.

    python -m benchmarks.report --trials 100 1000 10000

Each store is SQLite, written through the real MLflow client with what a real trial
logs: every setting as a parameter, final metrics, four curves, record-keeping tags.
Writing it is timed too but is not the point. Then, each in a process of its own so that
peak memory is its own: the look-up of ``d2v plan`` (which trials does the store have)
and the whole report (files and HTML page, not attached).

CPU time is the better witness on a machine that others use too.

``--keep FOLDER`` keeps the stores, and uses those already there.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from ablations import mlflow_names as names
from ablations.record import Manifest, ManifestArm, ManifestCell
from d2v_core.config import VisionTrial, leaves

STUDY = "synthetic"
CURVES = ("train/loss", "target/std", "prediction/std", "target/effective_rank")
POINTS = 5
"""Points of a curve; real trials log 20 and more, but then writing takes the time."""
PLANNED = 60
"""Trials of the plan that is looked up."""
STARTED = 1_790_000_000_000


def synthetic_manifest(num_trials: int) -> Manifest:
    """A study of 10 arms and up, with as many seeds, claims and a paper's column."""
    num_arms = {100: 10, 1_000: 20}.get(num_trials, max(2, int(num_trials**0.5)))
    num_seeds = max(1, num_trials // num_arms)
    arms = [
        ManifestArm(
            label=f"lr={i}",
            settings={"optimizer.peak_learning_rate": i},
            is_reference=False,
            value=i,
            paper={"value": 80.0 + i, "at": f"lr={i}", "source": "read", **NO_ERROR},
        )
        for i in range(num_arms)
    ]
    cells = [
        ManifestCell(arm=arm.label, seed=seed, key=f"{i:08x}{seed:08x}")
        for seed in range(num_seeds)
        for i, arm in enumerate(arms)
    ]
    return Manifest(
        study=_study(arms),
        modality="vision",
        scale="laptop",
        assignments=[],
        metric="linear_accuracy",
        depth=12,
        num_parameters=5_000_000,
        base=VisionTrial().model_dump(mode="json"),
        paper_diff=[],
        arms=arms,
        cells=cells,
        data_digest="0" * 16,
        command="d2v run synthetic",
    )


NO_ERROR = {"tolerance": None}


def _study(arms: list[ManifestArm]) -> dict[str, Any]:
    rules = [
        {"kind": "better", "arm": None, "than": "lr=0"},
        {"kind": "nearly_best", "arm": arms[-1].label, "within": 1.0},
        {"kind": "trend"},
        {"kind": "like_paper"},
    ]
    return {
        "name": STUDY,
        "title": "Synthetic",
        "paper": {"arxiv": "2202.03555v3", "where": "nowhere"},
        "axis": {"setting": "optimizer.peak_learning_rate", "label": "lr"}
        | {"values": [arm.value for arm in arms]},
        "baseline": "lr=0",
        "published": {
            "vision": {
                "metric": "made up (%)",
                "source": "read",
                "higher_is_better": True,
                "values": {str(arm.value): 80.0 + i for i, arm in enumerate(arms)},
            }
        },
        "claims": [
            {"id": f"claim-{i}", "says": "Made up.", "test": rule}
            for i, rule in enumerate(rules)
        ],
    }


def write_store(folder: Path, num_trials: int) -> str:
    """A store with so many trials; its tracking address."""
    folder.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    place = (folder / "artifacts").as_uri()
    experiment = client.create_experiment(STUDY, artifact_location=place)
    manifest = synthetic_manifest(num_trials)
    tags = {
        names.ROLE_TAG: names.STUDY_ROLE,
        names.MODALITY_TAG: manifest.modality,
        names.SCALE_TAG: manifest.scale,
    }
    parent = client.create_run(experiment, tags=tags, start_time=STARTED)
    client.log_text(
        parent.info.run_id, manifest.model_dump_json(), names.MANIFEST_ARTIFACT
    )
    generator = np.random.default_rng(0)
    params = [Param(path, str(value)) for path, value in leaves(VisionTrial())]
    for number, cell in enumerate(manifest.cells):
        _write_trial(client, experiment, cell, number, params, generator)
    return uri


def _write_trial(
    client: MlflowClient,
    experiment: str,
    cell: ManifestCell,
    number: int,
    params: list[Param],
    generator: np.random.Generator,
) -> None:
    """One run as :class:`sweeps.tracking.tracker.Tracker` writes it, in two batches."""
    when = STARTED + 1_000 * number
    arm = int(cell.arm.partition("=")[2])
    tags = {
        names.ROLE_TAG: names.TRIAL_ROLE,
        names.KEY_TAG: cell.key,
        names.SEED_TAG: str(cell.seed),
        names.ARM_TAG: cell.arm,
        names.MODALITY_TAG: "vision",
        names.SCALE_TAG: "laptop",
        names.study_tag(STUDY): cell.arm,
        names.COMMAND_TAG: "d2v run synthetic",
        names.COMMIT_TAG: "0" * 40,
        names.DIRTY_TAG: "false",
    }
    run = client.create_run(experiment, start_time=when, tags=tags)
    run_id = run.info.run_id
    noise = generator.normal(size=3)
    final = {
        "eval/linear_accuracy": 60.0 + 0.1 * arm + noise[0],
        "eval/knn_accuracy": 50.0 + 0.1 * arm + noise[1],
        "cost/training_seconds": 100.0 + noise[2],
        "cost/evaluation_seconds": 5.0,
        names.FLOPS_METRIC: 1e12,
    }
    metrics = [Metric(name, value, when, 100) for name, value in final.items()]
    metrics += [
        Metric(name, 1.0 / (1 + point), when, 25 * point)
        for name in CURVES
        for point in range(POINTS)
    ]
    done = [RunTag(names.STATUS_TAG, "finished"), RunTag(names.REASON_TAG, "")]
    client.log_batch(run_id, metrics=metrics, params=params[:100], tags=done)
    for start in range(100, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])
    client.set_terminated(run_id, "FINISHED", end_time=when + 500)


def look_up(uri: str) -> int:
    """Trials of a plan of 60 that the store has, as ``d2v plan`` asks for them."""
    from sweeps.tracking.stores import choose_stores
    from sweeps.tracking.tracker import Tracker

    tracker = Tracker(choose_stores(None, uri), "benchmark")
    tracker.finished_like("vision", "laptop")
    planned = synthetic_manifest(100).cells[:PLANNED]
    return len(tracker.trials(cell.key for cell in planned))


def build(uri: str) -> int:
    """The whole report; trials in it."""
    from reports.build import build_report

    with tempfile.TemporaryDirectory() as folder:
        report = build_report(
            tracking_uri=uri,
            study=STUDY,
            modality="vision",
            scale="laptop",
            folder=Path(folder),
            attach=False,
        )
    return sum(len(arm.seeds) for arm in report.result.arms)


TASKS: dict[str, Callable[[str], int]] = {"look-up": look_up, "report": build}


def measure(task: str, uri: str) -> dict[str, float]:
    """Seconds and peak MiB of a task in a new process, imports counted apart."""
    command = [sys.executable, "-m", "benchmarks.report", "--task", task, "--uri", uri]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def _run_task(task: str, uri: str) -> None:
    started = time.perf_counter()
    import reports.build  # noqa: F401
    import sweeps.tracking.tracker  # noqa: F401

    imported, cpu = time.perf_counter(), time.process_time()
    count = TASKS[task](uri)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {
        "trials": count,
        "import": imported - started,
        "seconds": time.perf_counter() - imported,
        "cpu": time.process_time() - cpu,
        "mib": peak,
    }
    print(json.dumps(result))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1_000])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--uri")
    options = parser.parse_args()
    if options.task:
        _run_task(options.task, options.uri)
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary)
        print("trials | write s | look-up s | CPU s | MiB | report s | CPU s | MiB")
        for count in options.trials:
            folder = root / str(count)
            started = time.perf_counter()
            uri = f"sqlite:///{folder}/mlflow.db"
            if not (folder / names.DATABASE_FILE).exists():
                uri = write_store(folder, count)
            wrote = time.perf_counter() - started
            plan, report = measure("look-up", uri), measure("report", uri)
            wanted = ("seconds", "cpu", "mib")
            numbers = [task[name] for task in (plan, report) for name in wanted]
            shown = " | ".join(f"{number:.1f}" for number in numbers)
            print(f"{count} | {wrote:.1f} | {shown}", flush=True)


if __name__ == "__main__":
    main()
