"""A trial of known length, so that everything else a runner does can be told apart.

It keeps a core busy (a sleeping one would hide what the driver takes away) and writes
down when it began and ended. Ours leaves a checkpoint besides, made in its own time.
Only the workers import torch.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2v_core.config import TrialConfig

if TYPE_CHECKING:
    from d2v_core.training.checkpoint import TrainingState

FOLDER = "D2V_BENCHMARK_FOLDER"
SECONDS = "D2V_BENCHMARK_SECONDS"
REPORTS_PER_TRIAL = 10
METRICS = {"train/loss": 1.0, "target/std": 0.5, "prediction/std": 0.5}


def work() -> Iterator[int]:
    """Keep a core busy for the time in the environment; yields now and then."""
    import torch

    torch.set_num_threads(1)
    began, length = time.time(), float(os.environ[SECONDS])
    matrix = torch.rand(128, 128)
    for step in range(1, REPORTS_PER_TRIAL + 1):
        while time.time() < began + length * step / REPORTS_PER_TRIAL:
            matrix = (matrix @ matrix).clamp(0, 1)
        yield step
    times = {"began": began, "ended": time.time()}
    file = Path(os.environ[FOLDER]) / f"{os.getpid()}.jsonl"
    with file.open("a") as lines:
        lines.write(json.dumps(times) + "\n")


def timed_trial(trial: TrialConfig, **options: Any) -> Iterator[Any]:
    """In place of :func:`d2v_core.trial.run_trial`."""
    from d2v_core.training.events import Finished, Progress, Started, Trained

    yield Started(step=0, num_steps=REPORTS_PER_TRIAL, num_parameters=1)
    for step in work():
        if step == 1:
            state = small_state()
        yield Progress(step, METRICS, float(step))
    yield Trained(state)
    metrics = {"eval/linear_accuracy": 50.0, "cost/training_seconds": 1.0}
    yield Finished(step=REPORTS_PER_TRIAL, status="finished", metrics=metrics)


def small_state() -> TrainingState:
    """What a checkpoint of a small encoder holds: 1 MB of weights, twice as moments."""
    import torch

    from d2v_core.objectives.untrained import Untrained
    from d2v_core.training.checkpoint import TrainingState

    objective = Untrained.__new__(Untrained)
    layer: Any = torch.nn.Linear(512, 512)
    objective.encoder, objective.module = layer, torch.nn.ModuleDict({"encoder": layer})
    optimizer = torch.optim.AdamW(layer.parameters())
    torch.autograd.backward(layer(torch.ones(512)).sum())
    optimizer.step()
    return TrainingState(objective, optimizer)


def timed_packed(config: dict[str, Any]) -> None:
    """In place of :func:`sweeps.ray.engine.run_packed`."""
    from ray import tune

    from sweeps.worker import trial as worker

    worker.run_trial = timed_trial
    worker.run_job(json.loads(config["job"]), tune.report)
