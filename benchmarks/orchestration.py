"""What a runner costs besides its trials: ours, stock Ray Tune, a plain process pool.

    python -m benchmarks.orchestration --trials 12 --seconds 5 --rounds 2

Every contender trains the same number of trials of the same known length
(:mod:`benchmarks.timed_trial`) in a process of its own with a new SQLite store, each in
turn within a round. Ours is the whole ``d2v run``, report included; the others log
the same three metrics to MLflow.

    python -m benchmarks.orchestration --memory 100 2000

prints the peak memory of our driver for as many trials, each a tenth of a second long:
until all have ended, and until their report is made.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.timed_trial import FOLDER, METRICS, SECONDS, timed_packed, work

STUDY = """\
name: orchestration
title: Trials of known length
arms: [{name: only, set: {target.top_k: 2}}]
metric: {vision: linear_accuracy}
"""
Span = tuple[float, float]
"""Start and end of a trial, in unix seconds."""
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Measured:
    """One contender, once.

    Attributes:
        first: Seconds from the start of the process to the first trial.
        dead: Seconds between the trials of a slot: from the end of a trial to the start
            of the one that takes its place, in whatever process.
        last: Seconds from the end of the last trial to the end of the process.
        wall: All of it.
        steady: Share of the slots' time spent in trials, from the first trial of the
            last slot to start, to the last of the first to end.
        mebibytes: Peak memory of the driver.
        trained: The same before the report is made; 0 for other runners than ours.
    """

    first: float
    dead: list[float]
    last: float
    wall: float
    steady: float
    mebibytes: float
    trained: float


def ours(folder: Path, num_trials: int) -> None:
    """``d2v run`` with trials of known length."""
    import d2v_cli
    from d2v_cli import run as running
    from sweeps.ray import engine

    assert "torch" not in sys.modules, "what the run imports itself is part of it"
    engine.run_packed = timed_packed
    show_study = running.show_study

    def note_peak(*study: Any) -> None:
        (folder / "trained").write_text(str(peak_kibibytes()))
        show_study(*study)

    setattr(running, "show_study", note_peak)  # noqa: B010
    (folder / "study.yaml").write_text(STUDY)
    options = ["--seeds", str(num_trials), "--storage", str(folder / "storage")]
    sys.argv = ["d2v", "run", str(folder / "study.yaml"), *options]
    d2v_cli.main()


def stock(folder: Path, num_trials: int, *, reuse_actors: bool | None) -> None:
    """Ray Tune with Ray's own MLflow callback."""
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    callback = MLflowLoggerCallback(
        tracking_uri=f"sqlite:///{folder}/mlflow.db", experiment_name="stock"
    )
    tune.Tuner(
        tune.with_resources(stock_trial, {"cpu": 1}),
        param_space={"seed": tune.grid_search(list(range(num_trials)))},
        tune_config=tune.TuneConfig(reuse_actors=reuse_actors),
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"), callbacks=[callback], verbose=0
        ),
    ).fit()


def stock_trial(config: dict[str, Any]) -> None:
    """As a user of Ray Tune would write it."""
    from ray import tune

    for step in work():
        tune.report({**METRICS, "step": step})


def pool(folder: Path, num_trials: int) -> None:
    """A pool of two spawned processes; the parent writes to MLflow."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("pool")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as runs:
        for done in as_completed([runs.submit(pool_trial) for _ in range(num_trials)]):
            run = client.create_run(experiment).info.run_id
            for step in done.result():
                for name, value in METRICS.items():
                    client.log_metric(run, name, value, step=step)
            client.set_terminated(run)


def pool_trial() -> list[int]:
    """One trial; its progress comes all at the end."""
    return list(work())


CONTENDERS: dict[str, Callable[[Path, int], None]] = {
    "d2v run": ours,
    "Ray Tune, actors reused": lambda f, n: stock(f, n, reuse_actors=True),
    "Ray Tune as it comes": lambda f, n: stock(f, n, reuse_actors=None),
    "process pool": pool,
}


def measure(name: str, num_trials: int, seconds: float) -> Measured:
    """Run one contender in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="orchestration-") as temporary:
        folder = Path(temporary)
        places = {FOLDER: str(folder), SECONDS: str(seconds)}
        command = [sys.executable, "-m", "benchmarks.orchestration", "--child", name]
        command += ["--trials", str(num_trials)]
        began = time.time()
        done = subprocess.run(
            command,
            env={**os.environ, **ENVIRONMENT, **places},
            capture_output=True,
            text=True,
            check=False,
        )
        ended = time.time()
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stdout}{done.stderr}")
        return evaluate(folder, began, ended, num_trials)


def evaluate(folder: Path, began: float, ended: float, num_trials: int) -> Measured:
    """What the trials and the process have written down."""
    lines = [f.read_text().splitlines() for f in folder.glob("*.jsonl")]
    entries = [json.loads(line) for file in lines for line in file]
    times = sorted((entry["began"], entry["ended"]) for entry in entries)
    if len(times) != num_trials:
        raise RuntimeError(f"{len(times)} trials ran, {num_trials} were asked for")
    slots = into_slots(times)
    start, stop = max(s[0][0] for s in slots), min(s[-1][1] for s in slots)
    busy = sum(max(0.0, min(b, stop) - max(a, start)) for a, b in times)
    return Measured(
        first=times[0][0] - began,
        dead=[b[0] - a[1] for s in slots for a, b in zip(s, s[1:], strict=False)],
        last=ended - max(b for _, b in times),
        wall=ended - began,
        steady=busy / (len(slots) * (stop - start)) if stop > start else float("nan"),
        mebibytes=mebibytes(folder / "memory"),
        trained=mebibytes(folder / "trained"),
    )


def mebibytes(file: Path) -> float:
    """What a child has noted of its memory; 0 if it has not."""
    return float(file.read_text()) / 1024 if file.exists() else 0.0


def into_slots(trials: Sequence[Span]) -> list[list[Span]]:
    """Each trial, in order, after the one that has been over for longest."""
    slots: list[list[Span]] = []
    for trial in trials:
        free = [slot for slot in slots if slot[-1][1] <= trial[0]]
        if free:
            min(free, key=lambda slot: slot[-1][1]).append(trial)
        else:
            slots.append([trial])
    return slots


def show(results: dict[str, list[Measured]]) -> None:
    """Medians over the rounds, as Markdown."""
    heads = (
        *("runner", "wall s", "start to first trial s", "dead between trials s"),
        *("dead, worst s", "last trial to exit s", "steady use %", "driver MiB"),
    )
    print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
    for name, rounds in results.items():
        dead = [gap for measured in rounds for gap in measured.dead]
        middle = statistics.median
        print(
            f"| {name} | {middle(m.wall for m in rounds):.1f} "
            f"| {middle(m.first for m in rounds):.1f} "
            f"| {middle(dead) if dead else float('nan'):.3f} "
            f"| {max(dead, default=float('nan')):.2f} "
            f"| {middle(m.last for m in rounds):.1f} "
            f"| {100 * middle(m.steady for m in rounds):.1f} "
            f"| {middle(m.mebibytes for m in rounds):.0f} |"
        )


def child(name: str, num_trials: int) -> None:
    """Run a contender here, then write down the peak memory of this process."""
    folder = Path(os.environ[FOLDER])
    try:
        CONTENDERS[name](folder, num_trials)
    finally:
        (folder / "memory").write_text(str(peak_kibibytes()))


def peak_kibibytes() -> int:
    """Most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=[*CONTENDERS])
    parser.add_argument("--memory", type=int, nargs="+", metavar="TRIALS")
    parser.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child, options.trials)
        return
    if options.memory:
        for num_trials in options.memory:
            measured = measure("d2v run", num_trials, seconds=0.1)
            peaks = f"{measured.trained:.0f} MiB, report {measured.mebibytes:.0f} MiB"
            print(f"{num_trials} trials: {peaks}", flush=True)
        return
    results: dict[str, list[Measured]] = defaultdict(list)
    for _ in range(options.rounds):
        for name in options.only:
            results[name].append(measure(name, options.trials, options.seconds))
    print(f"{options.trials} trials of {options.seconds:g} s, {os.cpu_count()} cores")
    show(results)


if __name__ == "__main__":
    main()
