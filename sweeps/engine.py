"""Ray Tune as the engine: a fixed list of trials, no search, actors reused.

Tune schedules the trials and restarts those whose process died. It neither decides what
is trained (the plan does) nor keeps results (the tracking store does); its own loggers,
tables and experiment folder are switched off or temporary.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2v_core.config import TrialConfig
from sweeps.cluster import bundles, check_resources, num_at_once
from sweeps.data_parallel import DRIVER_BUNDLE, num_workers, run_anyhow
from sweeps.listener import MAX_RESTARTS, Listener
from sweeps.planning import PlannedCell
from sweeps.ray_session import RaySession

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory


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
    jobs: Sequence[Job], listener: Listener, session: RaySession
) -> None:
    """Train all jobs in order, as many at a time as resources allow.

    Args:
        jobs: The trials; earlier ones start first.
        listener: Hears what happens.
        session: Started here unless it is already.

    Raises:
        ConfigError: A trial reserves more than there can ever be.
    """
    session.start()
    trials = [job.cell.trial for job in jobs]
    check_resources(session.nodes, trials)
    from ray import tune

    from sweeps.tune_callback import ListenerCallback

    by_key = {job.cell.key: job for job in jobs}
    packed = {key: job.for_worker() for key, job in by_key.items()}
    with tempfile.TemporaryDirectory(prefix=".tune-", dir=session.scratch) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(run_packed, jobs=packed),
                lambda config: resources(by_key[config["key"]]),
            ),
            param_space={"key": tune.grid_search(list(by_key))},
            tune_config=tune.TuneConfig(
                reuse_actors=True, max_concurrent_trials=at_once(trials, session)
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="trials",
                verbose=0,
                callbacks=[ListenerCallback(listener)],
                failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
            ),
        )
        tuner.fit()


def run_packed(config: dict[str, Any], jobs: dict[str, dict[str, Any]]) -> None:
    """Ray Tune's function trainable."""
    from ray import tune

    run_anyhow(jobs[config["key"]], tune.report)


def at_once(trials: Sequence[TrialConfig], session: RaySession) -> int | None:
    """Most trials that Tune may start together; None: what they reserve tells it.

    It does not see what Ray Train reserves for trials with several workers.
    """
    if all(num_workers(trial) == 1 for trial in trials):
        return None
    return num_at_once(session.nodes, trials)


def resources(job: Job) -> PlacementGroupFactory:
    """What Ray reserves for a trial."""
    from ray.tune import PlacementGroupFactory

    trial = job.cell.trial
    shared = num_workers(trial) > 1
    return PlacementGroupFactory([DRIVER_BUNDLE] if shared else bundles(trial))
