"""Ray Tune as the engine: trials in a fixed order, no search, actors reused.

Tune schedules the trials and restarts those whose process died. It neither decides what
is trained (the plan does) nor keeps results (the tracking store does); its own loggers,
tables and experiment folder are switched off or temporary.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from d2v_core.config import TrialConfig
from sweeps.listener import MAX_RESTARTS, Listener
from sweeps.plan.resources import check_resources, num_at_once, process_bundle
from sweeps.ray.compat import end_without_waiting, expect_loopback
from sweeps.ray.session import RaySession
from sweeps.worker.data_parallel import DRIVER_BUNDLE, run_anyhow
from sweeps.worker.job import Job

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.search import Searcher

LEAST_AT_A_TIME, ROUNDS = 500, 50
"""Trials that one Tuner gets, and per place for one. Tune keeps a tenth of a megabyte
of each trial until it ends; the next Tuner starts its workers anew, and waits for the
last trial of the one before."""


def train_with_ray(
    jobs: Sequence[Job],
    listener: Listener,
    session: RaySession,
    may_launch: Callable[[Job], bool],
) -> None:
    """Train all jobs in order, as many at a time as resources allow.

    Args:
        jobs: The trials; earlier ones start first.
        listener: Hears what happens.
        session: Started here unless it is already.
        may_launch: Asked before each; the first no is for all after it too.

    Raises:
        ConfigError: A trial reserves more than there can ever be.
    """
    trials = [job.cell.trial for job in jobs]
    session.start()
    check_resources(session.nodes, trials)
    from sweeps.ray.launching import InOrder

    order, slots = InOrder(jobs, may_launch), session.num_at_once(trials)
    before = -1
    while order.num_left not in (0, before):  # the same: Tune asks for none any more
        before = order.num_left
        tune_trials(
            order,
            listener,
            session,
            max_at_once=at_once(trials, session),
            max_pending=slots,
            num_trials=min(before, max(LEAST_AT_A_TIME, ROUNDS * slots)),
        )


def tune_trials(
    searcher: Searcher,
    listener: Listener,
    session: RaySession,
    *,
    max_at_once: int | None,
    max_pending: int = 1,
    num_trials: int,
    scheduler: TrialScheduler | None = None,
) -> None:
    """Train what a searcher suggests, with Ray Tune.

    Args:
        searcher: Gives each trial's configuration: its ``key`` and its ``job``.
        listener: Hears what happens.
        session: Already started.
        max_at_once: Most trials at the same time; None: as many as resources allow.
        max_pending: Trials the searcher is asked for before there is room for them: as
            many workers start together.
        num_trials: More are never trained.
        scheduler: Gives trials up early; None: none.
    """
    from ray import tune

    from sweeps.ray.memory_kills import as_deaths
    from sweeps.ray.tune_callback import ListenerCallback

    say = listener.ray_lacks
    if session.is_local:
        expect_loopback((node.host for node in session.nodes), say)
        end_without_waiting(say)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max_pending)
    with tempfile.TemporaryDirectory(prefix=".tune-", dir=session.scratch) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(run_packed, reserved),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=num_trials,
                reuse_actors=True,
                max_concurrent_trials=max_at_once,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="trials",
                verbose=0,
                callbacks=[ListenerCallback(listener)],
                failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
            ),
        )
        with as_deaths(say):
            tuner.fit()


def run_packed(config: dict[str, Any]) -> None:
    """Ray Tune's function trainable."""
    from ray import tune

    run_anyhow(json.loads(config["job"]), tune.report)


def at_once(trials: Iterable[TrialConfig], session: RaySession) -> int | None:
    """Most trials that Tune may start together; None: what they reserve tells it.

    It does not see what Ray Train reserves for trials with several workers.
    """
    trials = list(trials)
    if all(trial.num_workers == 1 for trial in trials):
        return None
    return num_at_once(session.nodes, trials)


def reserved(config: dict[str, Any]) -> PlacementGroupFactory:
    """What Ray reserves for a trial.

    Tune pickles this function, and reads it again for every trial: it must not refer to
    the other trials.
    """
    from ray.tune import PlacementGroupFactory

    job = json.loads(config["job"])
    if job["num_workers"] > 1:
        return PlacementGroupFactory([DRIVER_BUNDLE])
    execution = job["trial"]["execution"]
    return PlacementGroupFactory(
        [process_bundle(execution["num_threads"], execution["num_gpus"])]
    )
