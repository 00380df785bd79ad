"""Ray Tune with a searcher that suggests, and ASHA that gives trials up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ablations.mlflow_names import PROBE_SHARE_METRIC, probe_metric
from ablations.search.bound_space import BoundSpace
from sweeps.listener import Listener
from sweeps.ray.engine import at_once, tune_trials
from sweeps.ray.session import RaySession

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
    tune_trials(
        searcher,
        listener,
        session,
        max_at_once=at_once([bound.base], session),
        num_trials=num_trials,
        scheduler=asha(bound),
    )


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
        time_attr=PROBE_SHARE_METRIC,
        metric=probe_metric(bound.metric.validation),
        mode="max" if bound.metric.higher_is_better else "min",
        reduction_factor=stopping.reduction_factor,
        **times,
    )
