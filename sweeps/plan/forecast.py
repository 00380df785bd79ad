"""``d2v plan``: what a run would train, what the store has, how long it would take."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
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
from d2v_core.trained import BYTES_PER_WEIGHT, num_networks
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
from sweeps.tracking.reader import StoredTrial
from sweeps.tracking.stores import Stores
from sweeps.tracking.tracker import Tracker
from sweeps.worker.encoders import EncoderStore

PILOT_STEPS = 6
MAX_PILOT_FLOPS = {"cpu": 2e12, "cuda": 2e14}
"""Operations of all updates of a pilot: seconds to a minute."""

EVALUATION_SHARE = 0.15
"""Share of a trial's time, where no evaluation was timed; recipes are made for it."""


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        plans: The studies.
        num_cells: Cells of all tables.
        unique: Trials by key, in the order they would run.
        cached: Keys the store has.
        kept: Training keys of encoders that are kept.
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
    kept: frozenset[str]
    seconds: Mapping[str, float]
    costs: Mapping[str, TrialCost]
    basis: str
    num_parallel_trials: int
    removed: Mapping[str, Sequence[ManifestCell]]
    deleted: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Keys of trials that would be run."""
        return [key for key in self.unique if key not in self.cached]

    @property
    def to_train(self) -> list[str]:
        """Those that would be trained: the first of those that share an encoder."""
        return trained_first(self.unique, self.missing, self.kept)

    @property
    def to_evaluate(self) -> list[str]:
        """The others: their encoder is kept, or one of those trains it."""
        trained = set(self.to_train)
        return [key for key in self.missing if key not in trained]

    @property
    def encoder_bytes(self) -> int:
        """Disk that the encoders of the trials to train would take."""
        trials = [self.unique[key].trial for key in self.to_train]
        sizes = {plan.name: plan.num_parameters for plan in self.plans}
        each = max(sizes.values(), default=0) * BYTES_PER_WEIGHT
        return sum(each * num_networks(trial) for trial in trials)

    @property
    def wall_seconds(self) -> float | None:
        """Estimated wall-clock on this machine, Ray's start left out, if known."""
        if len(self.seconds) < len(self.missing):
            return None
        return sum(self.seconds.values()) / self.num_parallel_trials

    @property
    def gpu_hours(self) -> float | None:
        """Hours of one GPU for all trainings together, if known."""
        if len(self.costs) < len(self.to_train):
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
            "to_train": len(self.to_train),
            "to_evaluate": len(self.to_evaluate),
            "encoder_bytes": self.encoder_bytes,
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
                    "training": None if key in unkeyed else cell.training,
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


def trained_first(
    unique: Mapping[str, PlannedCell], missing: Sequence[str], kept: Collection[str]
) -> list[str]:
    """The missing trials that a run would train, in order."""
    first: dict[str, str] = {}
    for key in missing:
        if unique[key].training not in kept:
            first.setdefault(unique[key].training, key)
    return list(first.values())


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
    cached, known, evaluation = _look_up(unique, plans[0].expanded.request, tracker)
    missing = {key: cell for key, cell in unique.items() if key not in cached}
    encoders = EncoderStore(stores.encoders)
    trainings = {cell.training for cell in unique.values()}
    kept = frozenset(training for training in trainings if encoders.has(training))
    trained = trained_first(unique, list(missing), kept)
    counted = {key: estimate_cost(missing[key].trial) for key in trained}
    costs = {key: cost for key, cost in counted.items() if cost is not None}
    unkeyed, piloted = keyless(plans), False
    seconds = {}
    for key, cell in missing.items():
        kind = trial_kind(cell.trial)
        if key not in trained:
            continue
        if kind not in known and key not in unkeyed and pilot_is_cheap(cell, costs):
            known[kind], piloted = pilot_seconds(cell.trial), True
        if kind in known:
            seconds[key] = known[kind]
    for key in missing.keys() - set(trained):
        kind = trial_kind(missing[key].trial)
        if kind in evaluation:
            seconds[key] = evaluation[kind]
        elif kind in known:
            seconds[key] = known[kind] * EVALUATION_SHARE
    return Forecast(
        plans=plans,
        num_cells=sum(len(plan.cells) for plan in plans),
        unique=unique,
        cached=cached,
        kept=kept,
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
) -> tuple[frozenset[str], dict[str, float], dict[str, float]]:
    """Which of the trials the store has, and what finished ones like them cost.

    Seconds in all, and of the evaluation alone.
    """
    if tracker is None:
        return frozenset(), {}, {}
    stored = tracker.trials(keys)
    finished = tracker.finished_like(request.modality, request.scale)
    done = frozenset(key for key in stored if stored[key].done)
    evaluation = finished_seconds(finished, (EVALUATION_SECONDS_METRIC,))
    return done, finished_seconds(finished), evaluation


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


def finished_seconds(
    finished: Iterable[StoredTrial],
    parts: Sequence[str] = (TRAINING_SECONDS_METRIC, EVALUATION_SECONDS_METRIC),
) -> dict[str, float]:
    """Mean seconds of finished trials of a scale, by objective and length.

    Args:
        finished: The trials.
        parts: Metrics that are added up.
    """
    seen: dict[str, list[float]] = {}
    for trial in finished:
        cost = [trial.metrics.get(name, 0.0) for name in parts]
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
