"""Ray Tune as the engine: a fixed list of trials, no search, actors reused.

Tune schedules the trials and restarts those whose process died. It neither decides what
is trained (the plan does) nor keeps results (the tracking store does); its own loggers,
tables and experiment folder are switched off or temporary.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.listener import MAX_RESTARTS, Listener
from sweeps.planning import PlannedCell

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Job:
    """One trial to train.

    Attributes:
        cell: What and under which key.
        folder: Its own in the storage.
        stop_file: Exists once the run is to stop.
        data_name: Of the data, for the record.
        data_digest: Likewise.
    """

    cell: PlannedCell
    folder: Path
    stop_file: Path
    data_name: str
    data_digest: str

    def for_worker(self) -> dict[str, Any]:
        """Plain data for the worker process."""
        return {
            "key": self.cell.key,
            "trial": self.cell.trial.model_dump(mode="json"),
            "folder": str(self.folder),
            "stop_file": str(self.stop_file),
            "data_name": self.data_name,
            "data_digest": self.data_digest,
        }


def train_with_ray(
    jobs: Sequence[Job], listener: Listener, *, address: str | None
) -> None:
    """Train all jobs in order, as many at a time as resources allow.

    Args:
        jobs: The trials; earlier ones start first.
        listener: Hears what happens.
        address: Of a Ray cluster; None starts Ray on this machine.
    """
    os.environ.update(QUIET)
    import ray
    from ray import tune

    from sweeps.tune_callback import ListenerCallback

    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ray.init(
        address=address,
        include_dashboard=None if address else False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
    )
    by_key = {job.cell.key: job for job in jobs}
    packed = {key: job.for_worker() for key, job in by_key.items()}
    try:
        with tempfile.TemporaryDirectory(prefix="d2v-tune-") as scratch:
            tuner = tune.Tuner(
                tune.with_resources(
                    tune.with_parameters(run_packed, jobs=packed),
                    lambda config: resources(by_key[config["key"]]),
                ),
                param_space={"key": tune.grid_search(list(by_key))},
                tune_config=tune.TuneConfig(reuse_actors=True),
                run_config=tune.RunConfig(
                    storage_path=scratch,
                    name="trials",
                    verbose=0,
                    callbacks=[ListenerCallback(listener)],
                    failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
                ),
            )
            tuner.fit()
    finally:
        ray.shutdown()


def run_packed(config: dict[str, Any], jobs: dict[str, dict[str, Any]]) -> None:
    """Ray Tune's function trainable."""
    from ray import tune

    from sweeps.worker import run_job

    run_job(jobs[config["key"]], tune.report)


def resources(job: Job) -> PlacementGroupFactory:
    """What Ray reserves for a trial."""
    from ray.tune import PlacementGroupFactory

    execution = job.cell.trial.execution
    bundle = {"CPU": float(execution.num_threads), "GPU": execution.num_gpus}
    return PlacementGroupFactory([bundle])
