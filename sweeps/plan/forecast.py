"""``d2v plan``: what a run would train, what the store has, how long it would take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablations.mlflow_names import (
    EVALUATION_SECONDS_METRIC,
    KIND_TAG,
    TRAINING_SECONDS_METRIC,
)
from ablations.record import ManifestCell
from ablations.study.arms import Request
from d2v_core.config import TrialConfig, parse_trial
from d2v_core.costs import TrialCost, estimate_cost
from d2v_core.modalities import modality_of
from d2v_core.training.events import Progress
from d2v_core.trial import num_updates, pick_device, run_trial
from sweeps.plan.costing import (
    assumption,
    cost_fields,
    gpu_hours,
)
from sweeps.plan.deleted import missing_deleted
from sweeps.plan.planning import removed_cells, unique_trials
from sweeps.plan.resources import num_at_once, this_machine
from sweeps.planned import PlannedCell, StudyPlan
from sweeps.tracking.labels import trial_kind
from sweeps.tracking.stores import Stores
from sweeps.tracking.tracker import StoredTrial, Tracker

PILOT_STEPS = 6
MAX_PILOT_FLOPS = {"cpu": 2e12, "cuda": 2e14}
"""Operations of all updates of a pilot: seconds to a minute."""


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        plans: The studies.
        num_cells: Cells of all tables.
        unique: Trials by key, in the order they would run.
        cached: Keys the store has.
        seconds: Estimated seconds on this machine of missing trials, by key; none where
            only operations were counted.
        costs: What missing trials compute, by key; none where it cannot be told.
        basis: Where the seconds come from, for people.
        num_parallel_trials: Trials that would run at the same time here.
        removed: Trials of former arms and seeds that the store has, by study.
        deleted: Names of trials whose runs somebody deleted there, by study.
    """

    plans: Sequence[StudyPlan]
    num_cells: int
    unique: Mapping[str, PlannedCell]
    cached: frozenset[str]
    seconds: Mapping[str, float]
    costs: Mapping[str, TrialCost]
    basis: str
    num_parallel_trials: int
    removed: Mapping[str, Sequence[ManifestCell]]
    deleted: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Keys that would be trained."""
        return [key for key in self.unique if key not in self.cached]

    @property
    def wall_seconds(self) -> float | None:
        """Estimated wall-clock on this machine, Ray's start left out, if known."""
        if len(self.seconds) < len(self.missing):
            return None
        return sum(self.seconds.values()) / self.num_parallel_trials

    @property
    def gpu_hours(self) -> float | None:
        """Hours of one GPU for all missing trials together, if known."""
        if len(self.costs) < len(self.missing):
            return None
        return sum(gpu_hours(c, self.unique[k].trial) for k, c in self.costs.items())

    @property
    def data_problems(self) -> list[str]:
        """Why data could not be read, each once."""
        problems = {plan.data_problem for plan in self.plans if plan.data_problem}
        return sorted(problems)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``; null: not known."""
        wall, unkeyed = self.wall_seconds, keyless(self.plans)
        return {
            "studies": [plan.name for plan in self.plans],
            "cells": self.num_cells,
            "unique_trials": len(self.unique),
            "cached": len(self.cached),
            "missing": len(self.missing),
            "estimated_seconds": None if wall is None else round(wall, 1),
            "estimate_from": self.basis,
            "gpu_hours": self.gpu_hours,
            "gpu_hours_assume": assumption(next(iter(self.unique.values())).trial),
            "data_problems": self.data_problems,
            "removed": {
                study: [cell.model_dump() for cell in cells]
                for study, cells in self.removed.items()
            },
            "trials": [
                {
                    "key": None if key in unkeyed else key,
                    "arm": cell.arm.label,
                    "seed": cell.seed,
                    "cached": key in self.cached,
                    "estimated_seconds": self._seconds_of(key),
                    **cost_fields(self.costs.get(key), cell.trial),
                }
                for key, cell in self.unique.items()
            ],
        }

    def _seconds_of(self, key: str) -> float | None:
        if key in self.cached:
            return 0.0
        return round(self.seconds[key], 1) if key in self.seconds else None


def keyless(plans: Sequence[StudyPlan]) -> set[str]:
    """Keys that stand for trials whose data is not there."""
    return {cell.key for plan in plans if plan.data_problem for cell in plan.cells}


def forecast(plans: Sequence[StudyPlan], stores: Stores) -> Forecast:
    """Compare plans with the store and price what is missing; writes nothing.

    Operations and memory are counted. Seconds are the mean of finished trials of the
    same scale and objective; where there is none, a few updates are timed here and
    multiplied, if that takes no more than a moment and the data is there.
    """
    unique = unique_trials(plans)
    tracker = None if stores.is_new else Tracker(stores, "d2v plan")
    cached, known = _look_up(unique, plans[0].expanded.request, tracker)
    missing = {key: cell for key, cell in unique.items() if key not in cached}
    counted = {key: estimate_cost(cell.trial) for key, cell in missing.items()}
    costs = {key: cost for key, cost in counted.items() if cost is not None}
    unkeyed, piloted = keyless(plans), False
    seconds = {}
    for key, cell in missing.items():
        kind = trial_kind(cell.trial)
        if kind not in known and key not in unkeyed and pilot_is_cheap(cell, costs):
            known[kind], piloted = pilot_seconds(cell.trial), True
        if kind in known:
            seconds[key] = known[kind]
    return Forecast(
        plans=plans,
        num_cells=sum(len(plan.cells) for plan in plans),
        unique=unique,
        cached=cached,
        seconds=seconds,
        costs=costs,
        basis=_basis(piloted, len(missing), len(seconds)),
        num_parallel_trials=num_at_once(
            [this_machine()], (cell.trial for cell in unique.values())
        ),
        removed=_removed(plans, tracker),
        deleted=_deleted(plans, tracker),
    )


def pilot_is_cheap(cell: PlannedCell, costs: Mapping[str, TrialCost]) -> bool:
    """Whether a few updates here take no more than a moment."""
    if cell.key not in costs:
        return False
    device = pick_device(cell.trial.execution.device)
    flops = costs[cell.key].update_flops * PILOT_STEPS
    return flops <= MAX_PILOT_FLOPS[device.type]


def _basis(piloted: bool, num_missing: int, num_timed: int) -> str:
    if not num_missing:
        return "nothing to train"
    if not num_timed:
        return "counted operations"
    if piloted:
        return f"a pilot of {PILOT_STEPS} updates on this machine"
    return "finished trials in the store"


def _look_up(
    keys: Iterable[str], request: Request, tracker: Tracker | None
) -> tuple[frozenset[str], dict[str, float]]:
    """Which of the trials the store has, and what finished ones like them cost."""
    if tracker is None:
        return frozenset(), {}
    stored = tracker.trials(keys)
    finished = tracker.finished_like(request.modality, request.scale)
    return frozenset(k for k in stored if stored[k].done), finished_seconds(finished)


def _removed(
    plans: Sequence[StudyPlan], tracker: Tracker | None
) -> dict[str, list[ManifestCell]]:
    """Former cells whose trials are in the store."""
    if tracker is None:
        return {}
    former = {plan.name: removed_cells(plan, tracker.manifest(plan)) for plan in plans}
    stored = tracker.trials(cell.key for cells in former.values() for cell in cells)
    kept = {
        study: [c for c in cells if c.key in stored and stored[c.key].done]
        for study, cells in former.items()
    }
    return {study: cells for study, cells in kept.items() if cells}


def _deleted(
    plans: Sequence[StudyPlan], tracker: Tracker | None
) -> dict[str, list[str]]:
    """Trials that would be trained anew since somebody deleted their runs."""
    if tracker is None:
        return {}
    by_study = {plan.name: missing_deleted(plan, tracker) for plan in plans}
    return {study: deleted for study, deleted in by_study.items() if deleted}


def finished_seconds(finished: Iterable[StoredTrial]) -> dict[str, float]:
    """Mean seconds of finished trials of a scale, by objective and length."""
    seen: dict[str, list[float]] = {}
    for trial in finished:
        cost = [
            trial.metrics.get(name, 0.0)
            for name in (TRAINING_SECONDS_METRIC, EVALUATION_SECONDS_METRIC)
        ]
        seen.setdefault(trial.tags.get(KIND_TAG, ""), []).append(sum(cost))
    return {kind: sum(costs) / len(costs) for kind, costs in seen.items()}


def pilot_seconds(trial: TrialConfig) -> float:
    """Seconds a trial would take, from a few of its updates on this machine."""
    num_steps = num_updates(trial)
    dataset = modality_of(trial).load_data(trial)
    began = time.perf_counter()
    if num_steps == 0:
        for _ in run_trial(trial, dataset=dataset):
            pass
        return time.perf_counter() - began
    data = trial.model_dump(mode="json")
    data["execution"]["log_every"] = 1
    times = []
    for event in run_trial(parse_trial(data), dataset=dataset):
        if isinstance(event, Progress):
            times.append(event.seconds)
        if len(times) == PILOT_STEPS:
            break
    per_step = (times[-1] - times[1]) / (len(times) - 2) if len(times) > 2 else times[0]
    return per_step * num_steps
