"""Ray Tune with a searcher that suggests, and ASHA that gives trials up."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

from ablations.bound_space import BoundSpace
from sweeps.cluster import bundles
from sweeps.data_parallel import DRIVER_BUNDLE, num_workers, run_anyhow
from sweeps.engine import at_once
from sweeps.listener import MAX_RESTARTS, Listener
from sweeps.ray_session import RaySession

if TYPE_CHECKING:
    from ray.tune.schedulers import AsyncHyperBandScheduler

    from sweeps.search.searcher import StoredSearch

SOME_REPORTS_LACK_THE_METRIC = {"TUNE_DISABLE_STRICT_METRIC_CHECKING": "1"}


def search_with_ray(
    searcher: StoredSearch,
    listener: Listener,
    session: RaySession,
    bound: BoundSpace,
    num_trials: int,
) -> None:
    """Train what the searcher suggests, as many at a time as resources allow.

    Args:
        searcher: Says what, until it has had enough.
        listener: Hears what happens.
        session: Already started.
        bound: The space.
        num_trials: More are never trained.
    """
    os.environ.update(SOME_REPORTS_LACK_THE_METRIC)
    from ray import tune

    from sweeps.tune_callback import ListenerCallback

    shared = num_workers(bound.base) > 1
    reserved = [DRIVER_BUNDLE] if shared else bundles(bound.base)
    with tempfile.TemporaryDirectory(prefix=".tune-", dir=session.scratch) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(run_suggestion, tune.PlacementGroupFactory(reserved)),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=asha(bound),
                num_samples=num_trials,
                reuse_actors=True,
                max_concurrent_trials=at_once([bound.base], session),
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


def asha(bound: BoundSpace) -> AsyncHyperBandScheduler | None:
    """Ray's ASHA on the validation probe, never on the loss; None without rungs.

    Reports without a probe do not concern it. Time is the share of a trial's own
    training, so that long and short ones are compared at the same point.
    """
    stopping = bound.space.early_stopping
    if stopping is None:
        return None
    from ray.tune.schedulers import AsyncHyperBandScheduler

    # Ray says whole numbers; it compares and multiplies them only.
    times: dict[str, Any] = {"max_t": 1.0, "grace_period": stopping.probe_at[0]}
    return AsyncHyperBandScheduler(
        time_attr="probe/share",
        metric=f"probe/{bound.metric.validation}",
        mode="max" if bound.metric.higher_is_better else "min",
        reduction_factor=stopping.reduction_factor,
        **times,
    )


def run_suggestion(config: dict[str, Any]) -> None:
    """Ray Tune's function trainable."""
    from ray import tune

    run_anyhow(json.loads(config["job"]), tune.report)
