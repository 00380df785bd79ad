"""Vega-Lite specs: what all charts share, and how one becomes a picture.

A spec is plain data, drawn by Vega in the page and by ``vl-convert``, the same code in
one binary, in files. What a store holds enters as values of rows, titles and domains of
scales, which Vega never evaluates; nothing foreign may stand in an expression.

Colours are from Okabe and Ito's palette, which survives colour blindness; ours and the
paper's also differ in shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import vl_convert

from reports.text import visible

Spec = dict[str, Any]
Row = dict[str, Any]
INK, QUIET, LINE = "#2b2f36", "#7a8290", "#d8dce2"
OURS, PAPER, BAD = "#0072b2", "#d55e00", "#a4262c"
PALETTE = (OURS, PAPER, "#009e73", "#b0578a", "#8a6d00", "#3f9bd1", "#5b6370", BAD)
DASHES = ([1, 0], [6, 3], [2, 3], [8, 3, 2, 3])
"""For more arms than there are colours."""
PAGE_COLOURS = {
    **{colour: f"var(--c{i})" for i, colour in enumerate(PALETTE)},
    **{INK: "currentColor", QUIET: "var(--quiet)", LINE: "var(--line)"},
}
"""Colours that the page's style sheet sets, for light and dark."""
WIDTH = 360
"""Pixels of a panel in files; in the page a panel has its container's."""
LABEL_LIMIT = 210
DPI_SCALE = 2.0
NOTHING: Spec = {
    "data": {"values": [{}]},
    "mark": {"type": "text", "text": "no result yet", "color": QUIET, "fontSize": 13},
    "encoding": {},
}
"""Instead of layers none of which has a row on both axes."""
PLACES = ("x", "x2", "y", "y2")
"""Channels without which a mark has no place."""
CONFIG: Spec = {
    "font": "system-ui, DejaVu Sans, sans-serif",
    "view": {"stroke": None},
    "title": {
        **{"anchor": "start", "color": INK, "fontSize": 13, "fontWeight": 600},
        **{"subtitleColor": QUIET, "subtitleFontSize": 11, "frame": "group"},
    },
    "axis": {
        **{"labelColor": INK, "titleColor": INK, "titleFontWeight": "normal"},
        **{"gridColor": LINE, "domainColor": LINE, "tickColor": LINE},
        **{"labelLimit": LABEL_LIMIT, "labelFontSize": 11, "titleFontSize": 12},
    },
    "legend": {
        **{"labelColor": INK, "titleColor": INK, "orient": "top", "title": None},
        **{"labelLimit": LABEL_LIMIT, "labelFontSize": 12},
    },
    "axisX": {"grid": False},
}


@dataclass(frozen=True)
class Chart:
    """One set of axes.

    Attributes:
        name: Unique within a page, of letters and dashes.
        title: For people; the page shows it above, files inside.
        spec: Vega-Lite, without a width.
        modality: Modality of its numbers, where a page has several.
        note: What the axes do not show, in words under the title.
    """

    name: str
    title: str
    spec: Spec
    modality: str = ""
    note: str = ""


def layered(
    rows: Sequence[Row],
    layers: Sequence[Spec],
    *,
    height: float,
    log: str = "",
    **more: Any,
) -> Spec:
    """Layers over the same rows; texts of the rows are made visible.

    Args:
        rows: Plain values under fixed names.
        layers: As from :func:`layer`.
        height: Height of the axes, in pixels.
        log: ``x`` or ``y``: the axis that a reader may want on a logarithmic scale.
        more: Further fields of the spec.
    """
    drawn = [one for one in layers if _has_rows(one, rows)]
    has_places = any({"x", "y"} <= one["encoding"].keys() for one in drawn)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "height": height,
        "data": {"values": [shown_row(row) for row in rows]},
        "layer": drawn if has_places else [NOTHING],
        "usermeta": {"log": log},
        **more,
    }


def _has_rows(one: Spec, rows: Sequence[Row]) -> bool:
    """Whether a layer has something to draw; Vega complains of one that has not."""
    if "data" in one:
        return True
    places = {one["encoding"].get(channel, {}).get("field") for channel in PLACES}
    kind, fields = one["description"], places - {None}
    return any(row["kind"] == kind and fields <= row.keys() for row in rows)


def layer(kind: str, mark: str, style: Mapping[str, Any], **encoding: Any) -> Spec:
    """A layer that draws the rows of one kind; a row's ``kind`` is ours, never text."""
    return {
        "description": kind,
        "transform": [{"filter": f"datum.kind == '{kind}'"}],
        "mark": {"type": mark, "clip": True, **style},
        "encoding": {name: value for name, value in encoding.items() if value},
    }


def measured(field: str, title: str | None, domain: Any = None, **more: Any) -> Spec:
    """A quantitative channel that need not hold zero."""
    scale: Spec = {"zero": False, "nice": domain is None}
    if domain is not None:
        scale["domain"] = list(domain)
    shown = None if title is None else wrapped(title)
    return {
        **{"field": field, "type": "quantitative", "scale": scale, "title": shown},
        **more,
    }


def named(field: str, names: Sequence[str], title: str | None, **axis: Any) -> Spec:
    """A channel of names in their order."""
    return {
        "field": field,
        "type": "ordinal",
        "scale": {"domain": list(dict.fromkeys(map(visible, names)))},
        "title": None if title is None else visible(title),
        "axis": {"labelAngle": 0, "labelOverlap": "greedy", **axis},
    }


def arm_colours(arms: Sequence[str]) -> Spec:
    """A colour per arm, the same in every chart; the page has the legend."""
    return {
        "field": "arm",
        "type": "nominal",
        "scale": {
            "domain": [visible(arm) for arm in arms],
            "range": [PALETTE[i % len(PALETTE)] for i in range(len(arms))],
        },
        "legend": None,
    }


def arm_dashes(arms: Sequence[str]) -> Spec:
    """A dash per arm, for more arms than colours."""
    dashes = [DASHES[i // len(PALETTE) % len(DASHES)] for i in range(len(arms))]
    return {
        "field": "arm",
        "type": "nominal",
        "scale": {"domain": [visible(arm) for arm in arms], "range": dashes},
        "legend": None,
    }


def wrapped(text: str, width: int = 40) -> str | list[str]:
    """A title in lines that fit beside an axis."""
    lines, current = [], ""
    for word in visible(text).split():
        if current and len(current) + 1 + len(word) > width:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    lines.append(current)
    return lines[0] if len(lines) == 1 else lines


def shown_row(row: Row) -> Row:
    """A row whose texts hold no letter that acts."""
    return {k: visible(v) if isinstance(v, str) else v for k, v in row.items()}


def still(charts: Sequence[Chart], background: str | None = "white") -> Spec:
    """Charts beside each other, for a picture in a file."""
    views: list[Spec] = []
    for chart in charts:
        hidden = ("$schema", "usermeta", "data")
        view = {k: v for k, v in chart.spec.items() if k not in hidden}
        title: Spec = {"text": wrapped(chart.title)}
        if chart.note:
            title["subtitle"] = wrapped(chart.note)
        data = chart.spec["data"]
        named_view = {"title": title} if chart.title else {}
        views.append({**view, "data": data, "width": WIDTH, **named_view})
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": background,
        "padding": 12,
        "spacing": 36,
        "hconcat": views,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
    }


def to_svg(charts: Sequence[Chart], background: str | None = "white") -> str:
    """A stand-alone SVG document; its text stays text."""
    spec = still(charts, background)
    svg = str(vl_convert.vegalite_to_svg(spec, config=CONFIG, allowed_base_urls=[]))
    # Vega counts clips over all drawings of the process; ours begin at 0.
    names = dict.fromkeys(re.findall(r'id="(clip\d+)"', svg))
    new = {old: f"clip-{i}" for i, old in enumerate(names)}
    return re.sub(r"\bclip\d+\b", lambda match: new.get(match[0], match[0]), svg)


def to_png(charts: Sequence[Chart]) -> bytes:
    """A PNG with two pixels per point, on white."""
    drawn = vl_convert.vegalite_to_png(
        still(charts), config=CONFIG, scale=DPI_SCALE, allowed_base_urls=[]
    )
    return bytes(drawn)


def to_pdf(charts: Sequence[Chart]) -> bytes:
    """A PDF for papers, its text as outlines of letters."""
    return bytes(vl_convert.svg_to_pdf(to_svg(charts)))
