"""The main figure: both curves as differences from their baselines, and in their units.

Named arms get an estimation plot: every seed a point, lines between the points of a
seed, and the differences with their intervals on an axis of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.figures.curve import FigureData, Level, Panel, Point
from reports.figures.spec import (
    OURS,
    PAPER,
    QUIET,
    Chart,
    Row,
    Spec,
    layer,
    layered,
    measured,
    named,
)
from reports.text import visible

INTERVAL_REACH = 1.5
"""Length to which the value axis follows an interval beyond the single values, in
ranges of these: three seeds give long intervals, and the arms must stay apart."""
LEVEL_REACH = 0.5
"""The same for reference arms; those further away are named above the axes."""
HEIGHT, ROW_HEIGHT, MAX_HEIGHT = 270, 30, 4_000
OURS_NAME, PAPER_NAME = "this study", "paper"


def effect_charts(data: FigureData, prefix: str = "") -> list[Chart]:
    """Differences from the baseline; without a baseline there are none."""
    if data.ours_effects is None:
        return []
    ours, theirs = data.ours_effects, data.paper_effects
    baseline = data.baseline
    label = f"difference to {baseline}, positive is better"
    panels = [ours, *([theirs] if theirs else [])]
    rows = [*_rows(ours, OURS_NAME), *(_rows(theirs, PAPER_NAME) if theirs else [])]
    far = _far(panels, True)
    if data.is_curve:
        title = f"Difference to the baseline {baseline}"
        spec = _curve(rows, data, label, panels, True)
        return [Chart(f"{prefix}effects", title, spec, note=far)]
    spec = _rows_chart(rows, ours, label, panels, True)
    own = _rows_chart(_rows(data.ours, OURS_NAME), data.ours, None, [data.ours], False)
    return [
        Chart(f"{prefix}seeds", data.ours.title, own, note=_far([data.ours], False)),
        Chart(f"{prefix}effects", f"Difference to {baseline}", spec, note=far),
    ]


def unit_charts(data: FigureData, prefix: str = "") -> list[Chart]:
    """Ours and the paper's numbers, each in its unit on its own axis."""
    panels = [("ours", data.ours, OURS_NAME)]
    if data.paper is not None:
        panels.append(("paper", data.paper, PAPER_NAME))
    charts = []
    for name, panel, who in panels:
        rows = _rows(panel, who)
        if data.is_curve:
            spec = _curve(rows, data, panel.value_label, [panel], False)
        else:
            spec = _rows_chart(rows, panel, panel.value_label, [panel], False)
        note = _far([panel], False)
        charts.append(Chart(f"{prefix}{name}", panel.title, spec, note=note))
    return charts


def _rows(panel: Panel, who: str) -> list[Row]:
    """Means, intervals, seeds and reference arms of a panel."""
    is_ours = who == OURS_NAME
    rows: list[Row] = []
    for point in panel.points:
        place: Row = {
            "who": who,
            "shape": who,
            "x": point.position,
            "name": point.label,
        }
        if is_ours:
            place["arm"] = point.arm
        if point.mean is not None:
            rows.append({**place, "kind": "mean", **_ends(point)})
        for seed, value in point.seeds.items():
            died = seed in point.collapsed
            own = {"kind": "seed", "seed": seed, "value": value}
            rows.append({**place, **own, "shape": "collapsed" if died else who})
    names = {"who": who, "kind": "level"} | ({"reference": True} if is_ours else {})
    for level in panel.levels:
        arm = {"arm": level.label} if is_ours else {}
        rows.append({**names, **arm, "name": level.label, "value": level.mean})
    return rows


def _ends(point: Point) -> Row:
    assert point.mean is not None, "only points with a mean are drawn"
    if point.half_width is None:
        return {"value": point.mean}
    low, high = point.mean - point.half_width, point.mean + point.half_width
    return {"value": point.mean, "low": low, "high": high}


def _curve(
    rows: list[Row],
    data: FigureData,
    label: str,
    panels: Sequence[Panel],
    has_zero: bool,
) -> Spec:
    domain, _ = _reach(panels, has_zero)
    x = _positions(data, panels)
    y = measured("value", label, domain)
    who, shape = _whose("color"), _whose("shape")
    low, high = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}, {"x": x}
    levels = _near(panels, domain)
    layers = [
        *([_zero("y")] if has_zero else []),
        layer("mean", "area", {"opacity": 0.14}, **low, **high, color=who),
        layer(
            "seed",
            "line",
            {"opacity": 0.3, "strokeWidth": 1, "color": OURS},
            x=x,
            y=y,
            detail={"field": "seed"},
        ),
        layer("mean", "rule", {"opacity": 0.7}, **low, **high, color=who),
        layer("mean", "line", {"strokeWidth": 2}, x=x, y=y, color=who),
        layer(
            "mean",
            "point",
            {"filled": True, "size": 70, "opacity": 1},
            **{"x": x, "y": y, "color": who, "shape": shape},
        ),
        _seeds(x=x, y=y),  # on top, to be pointed at
        *_levels(levels, "y", y),
    ]
    return layered(
        [row for row in rows if _is_shown(row, levels)],
        layers,
        height=HEIGHT,
        log="x" if data.shares else "",
    )


def _rows_chart(
    rows: list[Row],
    panel: Panel,
    label: str | None,
    panels: Sequence[Panel],
    has_zero: bool,
) -> Spec:
    """One row per named arm, first on top."""
    domain, _ = _reach(panels, has_zero)
    names = [point.label for point in panel.points]
    y = named("name", names, None, labelOverlap=False)
    x = measured("value", label or panel.value_label, domain)
    who, shape = _whose("color"), _whose("shape")
    both = len({row["who"] for row in rows}) > 1
    offset = {
        "field": "who",
        "type": "nominal",
        "scale": {"domain": [OURS_NAME, PAPER_NAME], "range": [-4, 6]},
    }
    beside = {"yOffset": offset} if both else {}
    ends = {"x": {**x, "field": "low"}, "x2": {"field": "high"}}
    paired = {"x": x, "y": y, "detail": {"field": "seed"}, "order": {"field": "x"}}
    levels = _near(panels, domain)
    layers = [
        *([_zero("x")] if has_zero else []),
        layer(
            "seed",
            "line",
            {"opacity": 0.35, "strokeWidth": 1, "color": QUIET},
            **paired,
        ),
        layer("mean", "rule", {"strokeWidth": 2}, y=y, color=who, **ends, **beside),
        layer(
            "mean",
            "point",
            {"filled": True, "size": 80, "opacity": 1},
            **{"x": x, "y": y, "color": who, "shape": shape, **beside},
        ),
        _seeds(x=x, y=y, **beside),
        *_levels(levels, "x", x),
    ]
    return layered(
        [row for row in rows if _is_shown(row, levels)],
        layers,
        height=min(60 + ROW_HEIGHT * len(names), MAX_HEIGHT),
    )


def _seeds(**places: Spec) -> Spec:
    """Small dots; a collapsed trial's is a cross."""
    style = {"filled": True, "size": 36, "opacity": 0.55, "color": OURS}
    return layer("seed", "point", style, shape=_whose("shape"), **places)


def _whose(channel: str) -> Spec:
    if channel == "shape":
        scale: Spec = {"domain": [OURS_NAME, PAPER_NAME, "collapsed"]}
        scale["range"] = ["circle", "diamond", "cross"]
    else:
        scale = {"domain": [OURS_NAME, PAPER_NAME], "range": [OURS, PAPER]}
    field = "shape" if channel == "shape" else "who"
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def _zero(channel: str) -> Spec:
    """The baseline."""
    return {
        "data": {"values": [{"value": 0.0}]},
        "mark": {"type": "rule", "color": QUIET, "strokeWidth": 1},
        "encoding": {channel: {"field": "value", "type": "quantitative"}},
    }


ROOM_FOR_A_NAME = 0.25
"""Share of the axis that a name to the right of its line may take."""


def _levels(levels: Sequence[Level], channel: str, along: Spec) -> list[Spec]:
    """Reference arms as dashed lines with their names."""
    if not levels:
        return []
    low, high = along["scale"]["domain"]
    # Numbers, for in a picture of several charts no expression finds the axis.
    is_near_the_end = (
        f"datum.{along['field']} > {high - ROOM_FOR_A_NAME * (high - low)}"
    )
    names: Spec = {
        "y": {"align": "right", "dy": -6, "x": "width"},
        "x": {
            "align": {"expr": f"{is_near_the_end} ? 'right' : 'left'"},
            "dx": {"expr": f"{is_near_the_end} ? -4 : 4"},
            **{"baseline": "top", "y": 2},
        },
    }[channel]
    style = {"color": QUIET, "strokeDash": [5, 4]}
    text = {"field": "name", "type": "nominal"}
    mark = {"color": QUIET, "fontSize": 11, **names}
    return [
        layer("level", "rule", style, **{channel: along}),
        layer("level", "text", mark, **{channel: along, "text": text}),
    ]


def _positions(data: FigureData, panels: Sequence[Panel]) -> Spec:
    """The axis that curves share: shares of the depth, or names in their order."""
    title = visible(panels[0].position_label)
    if not data.shares:
        places = {p.position: p.label for panel in panels for p in panel.points}
        order = [places[position] for position in sorted(places)]
        return named("name", order, title)
    if len(panels) > 1:
        title = f"{title.partition(' of ')[0]} as a share of the layers"
    axis = {"format": ".0%", "labelFlush": False}
    scale = {"domain": [0, 1.04], "nice": False}
    return {
        **{"field": "x", "type": "quantitative", "scale": scale},
        **{"title": title, "axis": axis},
    }


def _reach(
    panels: Sequence[Panel], has_zero: bool
) -> tuple[tuple[float, float] | None, list[Level]]:
    """Ends of the value axis, None with nothing to show; and levels beyond them.

    Holds every single value; intervals and reference arms as far as they reach.
    """
    points = [p for panel in panels for p in panel.points if p.mean is not None]
    values = [v for p in points for v in (*p.seeds.values(), p.mean) if v is not None]
    values += [0.0] * has_zero
    if not points:
        return None, []
    low, high = min(values), max(values)
    ends = [end for p in points for end in _ends(p).values()]
    reach = INTERVAL_REACH * (high - low) or max(map(abs, [*ends, 1.0]))
    bottom, top = (
        max(min(ends + values), low - reach),
        min(max(ends + values), high + reach),
    )
    levels = [level for panel in panels for level in panel.levels]
    reach = LEVEL_REACH * (top - bottom)
    near = [v for v in levels if bottom - reach <= v.mean <= top + reach]
    means = [level.mean for level in near]
    bottom, top = min([bottom, *means]), max([top, *means])
    margin = 0.06 * (top - bottom) or 1.0
    far = [level for level in levels if level not in near]
    return (bottom - margin, top + margin), far


def _near(panels: Sequence[Panel], domain: tuple[float, float] | None) -> list[Level]:
    levels = [level for panel in panels for level in panel.levels]
    if domain is None:
        return []
    return [level for level in levels if domain[0] <= level.mean <= domain[1]]


def _is_shown(row: Row, levels: Sequence[Level]) -> bool:
    return row["kind"] != "level" or any(
        (row["name"], row["value"]) == (level.label, level.mean) for level in levels
    )


def _far(panels: Sequence[Panel], has_zero: bool) -> str:
    """Reference arms beyond the axis, in words."""
    _, levels = _reach(panels, has_zero)
    texts = [f"{one.label} {one.mean:.2f}".replace(" -", " −") for one in levels]
    return f"beyond the axis: {', '.join(texts)}" if texts else ""
