"""Draws studies with many settings: specification curve, heat map, main effects."""

from __future__ import annotations

from collections.abc import Sequence

from ablations.record import Manifest
from reports.figures.grid import (
    MAX_SETTINGS,
    Axis,
    Effect,
    axes_of,
    sorted_effects,
    varied_settings,
)
from reports.figures.spec import (
    INK,
    OURS,
    PALETTE,
    QUIET,
    Chart,
    Row,
    Spec,
    layer,
    layered,
    measured,
    named,
)
from reports.statistics.summary import StudyResult
from reports.tables.wording import shown_half_width
from reports.text import visible

HEIGHT, ROW_HEIGHT = 200, 20
MARGIN = 150
"""Pixels beside the value axis of both parts of a specification curve, to align."""


def specification_charts(result: StudyResult, manifest: Manifest) -> list[Chart]:
    """Arms sorted by effect, and the matrix of their settings beneath."""
    effects = sorted_effects(result, manifest)
    if not effects:
        return []
    metric = result.metric.title
    label = f"difference to {result.baseline}" if result.baseline else metric
    ranks = [str(rank) for rank in range(1, len(effects) + 1)]
    return [
        Chart("sorted", f"Arms by {label}", _sorted(effects, ranks, label)),
        Chart("settings", "Their settings", _matrix(effects, ranks)),
    ]


def grid_charts(result: StudyResult, manifest: Manifest) -> list[Chart]:
    """Main effects of crossed axes; of two also the grid and the interaction."""
    axes = axes_of(result, manifest)
    metric = result.metric.title
    charts = []
    if len(axes) == 2:
        rows = _cells(result, manifest, axes)
        charts = [
            Chart("grid", f"Mean {metric}", _heat_map(rows, axes)),
            Chart("interaction", "Interaction", _interaction(rows, axes, metric)),
        ]
    return charts + [
        Chart(f"main-{i}", f"Main effect of {axis.label}", _main(axis, metric))
        for i, axis in enumerate(axes)
    ]


def _sorted(effects: Sequence[Effect], ranks: Sequence[str], label: str) -> Spec:
    rows: list[Row] = [{"kind": "zero", "value": 0.0}]
    for rank, one in zip(ranks, effects, strict=True):
        row: Row = {"kind": "mean", "arm": one.arm, "rank": rank}
        row["value"] = one.estimate.mean
        if half := shown_half_width(one.estimate):
            row |= {"low": row["value"] - half, "high": row["value"] + half}
        rows.append(row)
    x = named("rank", ranks, None, labels=False, ticks=False)
    y = measured("value", label, axis=_aligned())
    y["title"] = None  # the chart's title says it, and the two parts align
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    layers = [
        layer("zero", "rule", {"color": QUIET}, y=y),
        layer("mean", "rule", {"color": OURS}, x=x, **ends),
        layer("mean", "point", {"filled": True, "size": 60, "color": OURS}, x=x, y=y),
    ]
    return layered(rows, layers, height=HEIGHT)


def _matrix(effects: Sequence[Effect], ranks: Sequence[str]) -> Spec:
    pairs = dict.fromkeys(
        (path, value)
        for path in effects[0].settings
        for value in sorted({one.settings[path] for one in effects})
    )
    shown = list(pairs)[:MAX_SETTINGS]
    names = {pair: f"{_last(pair[0])} = {pair[1]}" for pair in shown}
    rows: list[Row] = [
        {
            **{"kind": "has" if one.settings[path] == value else "lacks"},
            **{"arm": one.arm, "rank": rank, "name": names[path, value]},
        }
        for rank, one in zip(ranks, effects, strict=True)
        for path, value in shown
    ]
    x = named("rank", ranks, None, labels=False, ticks=False)
    y = named("name", list(names.values()), None, labelOverlap=False, **_aligned())
    layers = [
        layer("lacks", "point", {"filled": True, "size": 12, "color": QUIET}, x=x, y=y),
        layer("has", "point", {"filled": True, "size": 70, "color": INK}, x=x, y=y),
    ]
    return layered(rows, layers, height=ROW_HEIGHT * len(names))


def _aligned() -> Spec:
    return {"minExtent": MARGIN, "maxExtent": MARGIN, "labelLimit": MARGIN - 8}


def _last(path: str) -> str:
    """The end of a path, which says enough beside its value."""
    parts = path.split(".")
    return ".".join(parts[-2:] if parts[-1] in ("kind", "value") else parts[-1:])


def _cells(result: StudyResult, manifest: Manifest, axes: Sequence[Axis]) -> list[Row]:
    settings = varied_settings(manifest)
    across, along = axes
    return [
        {
            **{"kind": "mean", "arm": arm.label, "value": arm.mean.mean},
            "across": settings[arm.label][across.setting],
            "along": settings[arm.label][along.setting],
            "text": f"{arm.mean.mean:.2f}",
        }
        for arm in result.arms
        if arm.label in settings and arm.mean
    ]


def _places(axes: Sequence[Axis]) -> tuple[Spec, Spec]:
    across, along = axes
    return (
        named("across", [one.value for one in across.effects], across.label),
        named("along", [one.value for one in along.effects], along.label),
    )


def _heat_map(rows: list[Row], axes: Sequence[Axis]) -> Spec:
    x, y = _places(axes)
    colour = measured("value", None)
    colour["scale"] = {"scheme": "viridis", "zero": False}
    colour["legend"] = None
    middle = [row["value"] for row in rows] or [0.0]
    half = (min(middle) + max(middle)) / 2.0
    text = {"field": "text", "type": "nominal"}
    ink = {"condition": {"test": f"datum.value > {half!r}", "value": "#111111"}}
    layers = [
        layer("mean", "rect", {}, x=x, y=y, color=colour),
        layer("mean", "text", {}, x=x, y=y, text=text, color={**ink, "value": "white"}),
    ]
    height = 44 * len(axes[1].effects)
    return layered(rows, layers, height=height)


def _interaction(rows: list[Row], axes: Sequence[Axis], metric: str) -> Spec:
    """A line per value of the second axis: parallel ones do not interact."""
    x, _ = _places(axes)
    values = [visible(one.value) for one in axes[1].effects]
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(values))]
    colour = {
        **{"field": "along", "type": "nominal", "title": visible(axes[1].label)},
        "scale": {"domain": values, "range": colours},
        "legend": {"title": visible(axes[1].label)},
    }
    y = measured("value", metric)
    layers = [layer("mean", "line", {"point": True}, x=x, y=y, color=colour)]
    return layered(rows, layers, height=HEIGHT)


def _main(axis: Axis, metric: str) -> Spec:
    rows: list[Row] = []
    for one in axis.effects:
        if one.estimate is not None:
            row: Row = {"kind": "mean", "name": one.value, "value": one.estimate.mean}
            if half := shown_half_width(one.estimate):
                row |= {"low": row["value"] - half, "high": row["value"] + half}
            rows.append(row)
        rows += [
            {"kind": "seed", "name": one.value, "value": value, "seed": seed}
            for seed, value in one.seeds.items()
        ]
    x = named("name", [one.value for one in axis.effects], axis.label)
    y = measured("value", metric)
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    pale = {"opacity": 0.35, "strokeWidth": 1, "color": QUIET}
    dot = {"filled": True, "size": 26, "opacity": 0.55, "color": OURS}
    layers = [
        layer("seed", "line", pale, x=x, y=y, detail={"field": "seed"}),
        layer("mean", "rule", {"color": OURS}, x=x, **ends),
        layer("seed", "point", dot, x=x, y=y),
        layer("mean", "point", {"filled": True, "size": 70, "color": OURS}, x=x, y=y),
    ]
    return layered(rows, layers, height=HEIGHT)
