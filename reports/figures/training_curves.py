"""Training curves of a study: histories from the store, averaged over seeds.

A history is one request to the store, so a large study shows the first seeds of its
arms only; the page says how many.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ablations.record import Manifest
from reports.store.reader import Source, reader_of

METRICS = ("train/loss", "target/std", "prediction/std")
"""Metrics that are drawn; the last two say whether the representation is alive."""
MAX_HISTORIES = 360
"""Requests for one report."""
MAX_POINTS = 200
"""Points of one curve."""
COLLAPSE_STEP = re.compile(r"collapsed at step ([0-9]{1,15})")


@dataclass(frozen=True)
class Curve:
    """One metric of one arm over training.

    Attributes:
        arm: The arm.
        metric: As logged.
        steps: Optimiser updates.
        means: Over the seeds that have the step.
        num_seeds: Seeds behind it.
        collapses: Step and seed of each collapse.
    """

    arm: str
    metric: str
    steps: tuple[int, ...]
    means: tuple[float, ...]
    num_seeds: int
    collapses: tuple[tuple[int, int], ...]

    def at(self, step: int) -> float:
        """The value at a step, between its neighbours."""
        return float(np.interp(step, self.steps, self.means))


@dataclass(frozen=True)
class Curves:
    """All curves of a study.

    Attributes:
        curves: Arms in order, within each metric; without those nobody logged.
        seeds_shown: Most seeds of an arm that were read.
        seeds_planned: Most seeds an arm has.
    """

    curves: tuple[Curve, ...]
    seeds_shown: int
    seeds_planned: int

    def of(self, metric: str) -> list[Curve]:
        """The curves of a metric."""
        return [curve for curve in self.curves if curve.metric == metric]


def read_curves(client: Source, frame: pd.DataFrame, manifest: Manifest) -> Curves:
    """The training curves of a study.

    Args:
        client: A client of the store.
        frame: As from :func:`reports.store.frames.trial_frame`.
        manifest: The planned study.
    """
    labels = [arm.label for arm in manifest.arms]
    num_seeds = max(1, MAX_HISTORIES // (len(METRICS) * max(1, len(labels))))
    labels = labels[: MAX_HISTORIES // len(METRICS)]
    by_arm = dict(list(frame.groupby("arm", sort=False)))
    curves = []
    for metric in METRICS:
        for label in labels:
            rows = by_arm.get(label, frame.head(0))
            chosen = rows[rows["run_id"] != ""].head(num_seeds)
            histories = [
                history
                for run_id in chosen["run_id"]
                if (history := read_history(client, str(run_id), metric))
            ]
            if histories:
                marks = collapse_steps(chosen)
                curves.append(average(label, metric, histories, marks))
    planned = max((len(rows) for rows in by_arm.values()), default=0)
    return Curves(tuple(curves), min(num_seeds, planned), planned)


def average(
    arm: str,
    metric: str,
    histories: Sequence[dict[int, float]],
    collapses: Sequence[tuple[int, int]],
) -> Curve:
    """The mean curve of several seeds, at most a few hundred points of it."""
    steps = sorted(set().union(*histories))
    if len(steps) > MAX_POINTS:
        places = np.linspace(0, len(steps) - 1, MAX_POINTS).round().astype(int)
        steps = [steps[place] for place in places]
    means = [
        float(np.mean([history[step] for history in histories if step in history]))
        for step in steps
    ]
    return Curve(
        arm, metric, tuple(steps), tuple(means), len(histories), tuple(collapses)
    )


def collapse_steps(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """Step and seed of every collapsed trial whose reason names the step."""
    steps = []
    for row in rows[rows["status"] == "collapsed"].to_dict("records"):
        if match := COLLAPSE_STEP.search(str(row["reason"])):
            steps.append((int(match.group(1)), int(row["seed"])))
    return steps


def read_history(client: Source, run_id: str, metric: str) -> dict[int, float]:
    """Finite values by step; of a step logged twice, by a resumed trial, the last."""
    return reader_of(client).history(run_id, metric)
