"""The score over training: what ``execution.probe_at`` measured, and the end of it.

Only numbers on the validation split are measured before the end, so the last point is
the final validation number too, not the table's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from ablations.metrics import manifest_metric
from ablations.mlflow_names import (
    PROBE_SHARE_METRIC,
    PROBE_STEP_METRIC,
    evaluation_metric,
    probe_metric,
)
from ablations.record import Manifest, ManifestArm
from reports.figures.training_curves import MAX_HISTORIES, read_history
from reports.store.frames import PROBED
from reports.store.reader import Source

MAX_METRICS = 3
"""Most of the probed metrics that are drawn where the one that counts is not probed."""
SHARE_DECIMALS = 4
"""Decimals of a share: seeds of one arm are probed at the same."""


@dataclass(frozen=True)
class ScorePoint:
    """One seed at one time.

    Attributes:
        share: Share of the training, above 0 and at most 1.
        value: The score.
        seed: The seed.
    """

    share: float
    value: float
    seed: int


@dataclass(frozen=True)
class ScoreCurve:
    """One score of one arm over training.

    Attributes:
        arm: The arm.
        points: In order of share, then seed; never empty.
    """

    arm: str
    points: tuple[ScorePoint, ...]

    @property
    def means(self) -> dict[float, float]:
        """By share, over the seeds that have it."""
        values: dict[float, list[float]] = defaultdict(list)
        for point in self.points:
            values[point.share].append(point.value)
        return {share: fmean(each) for share, each in values.items()}

    @property
    def num_seeds(self) -> int:
        """Seeds behind it."""
        return len({point.seed for point in self.points})


@dataclass(frozen=True)
class ScoreFigure:
    """One score of all arms that were probed.

    Attributes:
        title: The score's title, with the unit if it is known.
        curves: Never empty, in the order of the arms.
        seeds_shown: Most seeds of an arm that were read.
        seeds_probed: Most seeds of an arm that there are.
    """

    title: str
    curves: tuple[ScoreCurve, ...]
    seeds_shown: int
    seeds_probed: int


def read_score_figures(
    client: Source, frame: pd.DataFrame, manifest: Manifest
) -> tuple[ScoreFigure, ...]:
    """The score that counts over training, or whatever was probed instead.

    Args:
        client: A client of the store.
        frame: As from :func:`reports.store.frames.trial_frame`.
        manifest: The planned study.
    """
    names = _drawn({name for probed in frame["probed"] for name in probed}, manifest)
    if not names:
        return ()
    probed = frame[frame["probed"].map(bool)]
    rows = {str(arm): of for arm, of in probed.groupby("arm", sort=False)}
    num_seeds = max(1, MAX_HISTORIES // (len(names) * len(rows)))
    most = max(len(of) for of in rows.values())
    figures = []
    for name, title in names.items():
        curves = [
            ScoreCurve(arm.label, points)
            for arm in manifest.arms
            if arm.label in rows
            and (num_steps := _num_steps(arm, manifest))
            and (points := _points(client, rows[arm.label], name, num_steps, num_seeds))
        ]
        if curves:
            shown = min(num_seeds, most)
            figures.append(ScoreFigure(title, tuple(curves), shown, most))
    return tuple(figures)


def _drawn(probed: set[str], manifest: Manifest) -> dict[str, str]:
    """Names without the group, and their titles."""
    metric = manifest_metric(manifest)
    if metric.validation and probe_metric(metric.validation) in probed:
        return {metric.validation: f"{metric.title}, validation split"}
    others = sorted(probed - {PROBE_STEP_METRIC, PROBE_SHARE_METRIC})[:MAX_METRICS]
    names = [name.removeprefix(PROBED) for name in others]
    return {name: name.replace("_", " ") for name in names}


def _points(
    client: Source, rows: pd.DataFrame, name: str, num_steps: int, num_seeds: int
) -> tuple[ScorePoint, ...]:
    """The points of one arm's first seeds."""
    points = []
    for row in rows.head(num_seeds).to_dict("records"):
        history = read_history(client, str(row["run_id"]), probe_metric(name))
        shares = {
            round(step / num_steps, SHARE_DECIMALS): value
            for step, value in history.items()
            if 0 < step < num_steps
        } | _end(row, name)
        seed = int(row["seed"])
        points += [ScorePoint(share, value, seed) for share, value in shares.items()]
    return tuple(sorted(points, key=lambda point: (point.share, point.seed)))


def _end(row: Mapping[Hashable, Any], name: str) -> dict[float, float]:
    """The final number; a collapsed trial may have ended anywhere."""
    value = float(row.get(evaluation_metric(name), math.nan))
    is_known = row["status"] == "finished" and not math.isnan(value)
    return {1.0: value} if is_known else {}


def _num_steps(arm: ManifestArm, manifest: Manifest) -> int:
    """Updates of a whole training; 0: the plan does not say."""
    training = manifest.base.get("training")
    planned = training.get("num_steps") if isinstance(training, dict) else None
    steps = arm.settings.get("training.num_steps", planned)
    return steps if type(steps) is int and steps > 0 else 0
