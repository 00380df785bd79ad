"""``d2v plan``: what a run would train, what the store has, how long it would take."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from ablations.record import KIND_TAG, MODALITY_TAG, SCALE_TAG
from d2v_core.config import TrialConfig, parse_trial
from d2v_core.events import Progress
from d2v_core.modalities import modality_of
from d2v_core.trial import num_updates, run_trial
from sweeps.labels import trial_kind
from sweeps.planning import (
    PlannedCell,
    StudyPlan,
    seed_warning,
    unique_trials,
)
from sweeps.progress import duration
from sweeps.stores import Stores
from sweeps.tracker import StoredTrial, Tracker

PILOT_STEPS = 6


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        plans: The studies.
        num_cells: Cells of all tables.
        unique: Trials by key, in the order they would run.
        cached: Keys the store has.
        seconds: Estimated seconds of one core-share per missing trial, by key.
        basis: Where the estimate comes from, for people.
        num_workers: Trials that would run at the same time here.
    """

    plans: Sequence[StudyPlan]
    num_cells: int
    unique: Mapping[str, PlannedCell]
    cached: frozenset[str]
    seconds: Mapping[str, float]
    basis: str
    num_workers: int

    @property
    def missing(self) -> list[str]:
        """Keys that would be trained."""
        return [key for key in self.unique if key not in self.cached]

    @property
    def wall_seconds(self) -> float:
        """Estimated wall-clock on this machine, Ray's start left out."""
        return sum(self.seconds.values()) / self.num_workers

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "studies": [plan.name for plan in self.plans],
            "cells": self.num_cells,
            "unique_trials": len(self.unique),
            "cached": len(self.cached),
            "missing": len(self.missing),
            "estimated_seconds": round(self.wall_seconds, 1),
            "estimate_from": self.basis,
            "trials": [
                {
                    "key": key,
                    "arm": cell.arm.label,
                    "seed": cell.seed,
                    "cached": key in self.cached,
                    "estimated_seconds": round(self.seconds.get(key, 0.0), 1),
                }
                for key, cell in self.unique.items()
            ],
        }


def forecast(plans: Sequence[StudyPlan], stores: Stores) -> Forecast:
    """Compare plans with the store and price what is missing; writes nothing.

    Prices are the mean of finished trials of the same scale and objective; where there
    is none, a few updates are timed here and multiplied.
    """
    unique = unique_trials(plans)
    stored = {} if stores.is_new else Tracker(stores, "d2v plan").trials()
    cached = frozenset(k for k in unique if k in stored and stored[k].done)
    request = plans[0].expanded.request
    known = finished_seconds(stored, request.modality, request.scale)
    missing = {key: cell for key, cell in unique.items() if key not in cached}
    pilots: dict[str, float] = {}
    seconds = {}
    for key, cell in missing.items():
        kind = trial_kind(cell.trial)
        if kind in known:
            seconds[key] = known[kind]
            continue
        if kind not in pilots:
            pilots[kind] = pilot_seconds(cell.trial)
        seconds[key] = pilots[kind]
    return Forecast(
        plans=plans,
        num_cells=sum(len(plan.cells) for plan in plans),
        unique=unique,
        cached=cached,
        seconds=seconds,
        basis=_basis(bool(pilots), len(missing)),
        num_workers=max(
            1, (os.cpu_count() or 1) // plans[0].cells[0].trial.execution.num_threads
        ),
    )


def _basis(piloted: bool, num_missing: int) -> str:
    if not num_missing:
        return "nothing to train"
    if piloted:
        return f"a pilot of {PILOT_STEPS} updates on this machine"
    return "finished trials in the store"


def finished_seconds(
    stored: Mapping[str, StoredTrial], modality: str, scale: str
) -> dict[str, float]:
    """Mean seconds of finished trials of a scale, by objective and length."""
    seen: dict[str, list[float]] = {}
    for trial in stored.values():
        tags = trial.tags
        same = (tags.get(MODALITY_TAG), tags.get(SCALE_TAG)) == (modality, scale)
        if not (trial.done and same and KIND_TAG in tags):
            continue
        cost = [
            trial.metrics.get(f"cost/{part}_seconds", 0.0)
            for part in ("training", "evaluation")
        ]
        seen.setdefault(tags[KIND_TAG], []).append(sum(cost))
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


def show_forecast(result: Forecast, console: Console) -> None:
    """Print a forecast for people."""
    table = Table("study", "arm", "seeds", "cached", "to train", "each about")
    for plan in result.plans:
        for arm in plan.expanded.arms:
            cells = [cell for cell in plan.cells if cell.arm.label == arm.label]
            keys = {cell.key for cell in cells}
            missing = [key for key in keys if key not in result.cached]
            price = max((result.seconds[key] for key in missing), default=0.0)
            table.add_row(
                plan.name,
                arm.label,
                str(len(cells)),
                str(len(keys) - len(missing)),
                str(len(missing)),
                duration(price) if missing else "–",
            )
    console.print(table)
    console.print(
        f"{result.num_cells} cells, {len(result.unique)} unique trials, "
        f"{len(result.cached)} cached, {len(result.missing)} to train"
    )
    if result.missing:
        console.print(
            f"about {duration(result.wall_seconds)} on {result.num_workers} workers of "
            f"this machine (from {result.basis}; Ray's start comes on top)"
        )
    for plan in result.plans:
        if warning := seed_warning(plan.seeds):
            console.print(f"{plan.name}: {warning}")
