"""Training: every metric on its own axis per objective, scores, and health by cell.

Losses of different objectives have nothing in common: on one axis a supervised
cross-entropy would flatten four data2vec losses into a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ablations.record import Manifest
from reports.figures.score_curves import ScoreFigure
from reports.figures.spec import (
    BAD,
    QUIET,
    Chart,
    Row,
    Spec,
    arm_colours,
    arm_dashes,
    layer,
    layered,
    measured,
    named,
)
from reports.figures.training_curves import COLLAPSE_STEP, METRICS, Curve, Curves
from reports.store.frames import HEALTH_METRICS

HEIGHT, ROW_HEIGHT, MAX_HEIGHT = 170, 20, 1_500
THRESHOLDS = {
    "target/std": "min_target_std",
    "prediction/std": "min_prediction_std",
}
"""Metric to the field of a configuration's ``health`` with its least healthy value."""
HEALTH = dict(
    zip(
        HEALTH_METRICS,
        (
            "Spread of targets at the end",
            "Effective rank of targets at the end",
            "Spread of predictions at the end",
        ),
        strict=True,
    )
)


def objectives(manifest: Manifest) -> dict[str, str]:
    """What every arm optimises."""
    base = manifest.base.get("objective")
    planned = base.get("kind", "") if isinstance(base, dict) else ""
    return {
        arm.label: str(arm.settings.get("objective.kind", planned))
        for arm in manifest.arms
    }


def training_charts(curves: Curves, manifest: Manifest) -> list[Chart]:
    """A chart per metric that somebody logged, and objective."""
    kinds = objectives(manifest)
    arms = [arm.label for arm in manifest.arms]
    references = {arm.label for arm in manifest.arms if arm.is_reference}
    health = manifest.base.get("health", {})
    charts = []
    for metric in METRICS:
        groups: dict[str, list[Curve]] = {}
        for curve in curves.of(metric):
            groups.setdefault(kinds.get(curve.arm, ""), []).append(curve)
        for number, (kind, group) in enumerate(groups.items()):
            name = f"{metric.replace('/', '-')}-{number}".replace("_", "-")
            rows = [row for curve in group for row in _curve_rows(curve, references)]
            threshold = health.get(THRESHOLDS.get(metric))
            rows += _threshold(threshold, rows)
            title = f"{metric}, {kind}" if kind else metric
            charts.append(Chart(name, title, _lines(rows, arms, "optimiser updates")))
    return charts


def score_charts(scores: Sequence[ScoreFigure], manifest: Manifest) -> list[Chart]:
    """A chart per score that was probed: means as lines, seeds as dots."""
    arms = [arm.label for arm in manifest.arms]
    references = {arm.label for arm in manifest.arms if arm.is_reference}
    charts = []
    for number, figure in enumerate(scores):
        rows: list[Row] = []
        for curve in figure.curves:
            own = {"arm": curve.arm, "reference": curve.arm in references}
            rows += [
                {**own, "kind": "mean", "x": share, "value": mean}
                for share, mean in curve.means.items()
            ]
            rows += [
                {**own, "kind": "seed", "x": p.share, "value": p.value, "seed": p.seed}
                for p in curve.points
            ]
        spec = _lines(rows, arms, "share of the training", percent=True, dots=True)
        charts.append(Chart(f"score-{number}", figure.title, spec))
    return charts


def health_charts(frame: pd.DataFrame, manifest: Manifest) -> list[Chart]:
    """A strip per measure: a cell per trial, a cross where it collapsed."""
    references = {arm.label for arm in manifest.arms if arm.is_reference}
    charts = []
    for metric, title in HEALTH.items():
        rows: list[Row] = []
        for row in frame.to_dict("records"):
            place = {"arm": row["arm"], "seed": row["seed"], "name": str(row["seed"])}
            place["reference"] = row["arm"] in references
            value = dict(row.get("health", ())).get(metric)
            if value is not None:
                rows.append({**place, "kind": "cell", "value": value})
            if row["status"] == "collapsed":
                step = COLLAPSE_STEP.search(str(row["reason"]))
                at = {"step": int(step.group(1))} if step else {}
                rows.append({**place, "kind": "collapse", **at})
        if any(row["kind"] == "cell" for row in rows):
            name = metric.replace("/", "-").replace("_", "-")
            charts.append(Chart(f"health-{name}", title, _strip(rows, manifest)))
    return charts


def _curve_rows(curve: Curve, references: set[str]) -> list[Row]:
    own: Row = {"arm": curve.arm, "reference": curve.arm in references}
    kind = "mean" if len(curve.steps) > 1 else "dot"
    rows: list[Row] = [
        {**own, "kind": kind, "x": step, "value": mean}
        for step, mean in zip(curve.steps, curve.means, strict=True)
    ]
    rows += [
        {
            **{**own, "kind": "collapse", "x": step, "value": curve.at(step)},
            **{"seed": seed, "step": step},
        }
        for step, seed in curve.collapses
    ]
    return rows


def _threshold(threshold: Any, rows: Sequence[Row]) -> list[Row]:
    """The least healthy value, where the curves come near it."""
    if not isinstance(threshold, int | float):
        return []
    values = [row["value"] for row in rows]
    near = min(values) - 0.25 * (max(values) - min(values)) <= threshold <= max(values)
    return [{"kind": "threshold", "value": threshold}] if near else []


def _lines(
    rows: list[Row],
    arms: Sequence[str],
    x_title: str,
    *,
    percent: bool = False,
    dots: bool = False,
) -> Spec:
    colour, dash = arm_colours(arms), arm_dashes(arms)
    x = measured("x", x_title, axis={"format": ".0%" if percent else "~s"})
    y = measured("value", None, axis={"tickCount": 4})
    dot = {"filled": True, "size": 14, "opacity": 0.5}
    line = {"strokeWidth": 1.8, "point": {"size": 28} if dots else False}
    cross = {"shape": "cross", "filled": True, "size": 90, "angle": 45, "color": BAD}
    dotted = {"color": QUIET, "strokeDash": [1, 3]}
    layers = [
        layer("threshold", "rule", dotted, y=y),
        layer("seed", "point", dot, x=x, y=y, color=colour),
        layer("dot", "point", {"filled": True, "size": 50}, x=x, y=y, color=colour),
        layer("mean", "line", line, x=x, y=y, color=colour, strokeDash=dash),
        layer("collapse", "point", cross, x=x, y=y),
    ]
    return layered(rows, layers, height=HEIGHT, log="y")


def _strip(rows: list[Row], manifest: Manifest) -> Spec:
    arms = [arm.label for arm in manifest.arms]
    seeds = [str(seed) for seed in sorted({cell.seed for cell in manifest.cells})]
    y = named("arm", arms, None, labelOverlap=False)
    x = named("name", seeds, "seed")
    colour = measured("value", None)
    colour["scale"] = {"scheme": "viridis", "zero": False}
    colour["legend"] = {"gradientLength": 140, "gradientThickness": 8, "tickCount": 3}
    cross = {"shape": "cross", "filled": True, "size": 110, "angle": 45, "color": BAD}
    layers = [
        layer("cell", "rect", {"stroke": "white"}, x=x, y=y, color=colour),
        layer("collapse", "point", cross, x=x, y=y),
    ]
    height = min(ROW_HEIGHT * len(arms), MAX_HEIGHT)
    return layered(rows, layers, height=height)
