"""Draws final numbers; computes nothing but where things go on the page.

Colours are from Okabe and Ito's palette, which survives colour blindness; ours and the
paper's also differ in marker. Output depends on the numbers alone, byte by byte.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from reports.figures.curve import FigureData, Level, Panel, Point
from reports.text import visible

INK = "#2b2f36"
"""Text and axes; the page replaces it by its own text colour."""
QUIET = "#7a8290"
OURS, PAPER = "#0072b2", "#d55e00"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "d2v",
    "text.parse_math": False,
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "axes.titlecolor"), INK),
}
PANEL_SIZE = (4.7, 3.6)
"""Inches."""
INTERVAL_REACH = 1.5
"""Length to which the value axis follows an interval beyond the single values, in
ranges of these: two seeds give very long intervals, and the arms must stay apart."""
LEVEL_REACH = 0.5
"""The same for reference lines; those further away are named at the end of the axis."""
MAX_HEIGHT = 90.0
"""Inches of a figure of named arms; 200 of them fit, more stand closer."""
MAX_TICKS = 40
"""Labels of a curve's points: 200 would lie over each other, and take seconds."""
LABEL_WIDTH = 34
"""Characters of a line of an axis label."""

STRIP = 0.45
"""Rows' worth of room above named arms, for the names of reference lines."""

ImageFormat = Literal["svg", "png"]
Which = Literal["both", "ours", "paper"]


@contextmanager
def drawing_style() -> Iterator[None]:
    """Our style; a letter that the font has not is a box, and no warning for users."""
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        yield


def draw_svg(data: FigureData, which: Which = "both") -> str:
    """The figure as a stand-alone SVG document; its text stays text."""
    return _draw(data, which, "svg").decode("utf-8")


def draw_png(data: FigureData, which: Which = "both") -> bytes:
    """The figure as PNG at 200 dots per inch, on white."""
    return _draw(data, which, "png")


def _draw(data: FigureData, which: Which, kind: ImageFormat) -> bytes:
    chosen = [
        (panel, colour, marker)
        for name, panel, colour, marker in (
            ("ours", data.ours, OURS, "o"),
            ("paper", data.paper, PAPER, "s"),
        )
        if panel is not None and which in ("both", name)
    ]
    buffer = io.BytesIO()
    with drawing_style():
        rows = min(1.3 + 0.42 * len(data.ours.points), MAX_HEIGHT)
        height = PANEL_SIZE[1] if data.is_curve else rows
        size = (PANEL_SIZE[0] * len(chosen), height)
        figure = Figure(figsize=size, layout="constrained")
        all_axes = figure.subplots(1, len(chosen), squeeze=False)[0]
        for axes, (panel, colour, marker) in zip(all_axes, chosen, strict=True):
            if data.is_curve:
                _draw_curve(axes, panel, colour, marker)
                axes.set_xlim(*data.limits)
            else:
                _draw_rows(axes, panel, colour, marker)
                axes.set_ylim(data.limits[1], data.limits[0] - STRIP)
        stamp = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=200, metadata=stamp)
    return buffer.getvalue()


def _draw_curve(axes: Axes, panel: Panel, colour: str, marker: str) -> None:
    """A line through the means, a band and bars for the intervals, dots for seeds."""
    positions = [point.position for point in panel.points]
    means = [_or_nan(point.mean) for point in panel.points]
    widths = [_or_nan(point.half_width) for point in panel.points]
    low = [mean - width for mean, width in zip(means, widths, strict=True)]
    high = [mean + width for mean, width in zip(means, widths, strict=True)]
    axes.fill_between(positions, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(positions, means, color=colour, marker=marker, markersize=5, zorder=3)
    _draw_intervals(axes, panel.points, colour, is_row=False)
    _draw_seeds(axes, panel.points, colour, is_row=False)
    named = panel.points[:: 1 + len(panel.points) // MAX_TICKS]
    axes.set_xticks([p.position for p in named], [visible(p.label) for p in named])
    axes.set_xlabel(visible(panel.position_label))
    axes.set_ylabel(textwrap.fill(visible(panel.value_label), LABEL_WIDTH))
    axes.set_title(visible(panel.title), loc="left")
    if limits := _value_limits(panel):
        axes.set_ylim(*limits)
    axes.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)
    _draw_levels(axes, panel, is_row=False)


def _draw_rows(axes: Axes, panel: Panel, colour: str, marker: str) -> None:
    """One row per named arm, first on top."""
    for point in panel.points:
        if point.mean is not None:
            axes.plot(point.mean, point.position, color=colour, marker=marker, zorder=3)
    _draw_intervals(axes, panel.points, colour, is_row=True)
    _draw_seeds(axes, panel.points, colour, is_row=True)
    positions = [point.position for point in panel.points]
    axes.set_yticks(positions, [visible(point.label) for point in panel.points])
    axes.set_xlabel(textwrap.fill(visible(panel.value_label), LABEL_WIDTH + 10))
    axes.set_title(visible(panel.title), loc="left")
    if limits := _value_limits(panel):
        axes.set_xlim(*limits)
    axes.grid(axis="x", color=QUIET, alpha=0.25, linewidth=0.6)
    _draw_levels(axes, panel, is_row=True)


def _draw_intervals(
    axes: Axes, points: Sequence[Point], colour: str, *, is_row: bool
) -> None:
    known = [p for p in points if p.mean is not None and p.half_width is not None]
    if not known:
        return
    means = [p.mean for p in known if p.mean is not None]
    widths = [p.half_width for p in known if p.half_width is not None]
    positions = [p.position for p in known]
    axes.errorbar(
        x=means if is_row else positions,
        y=positions if is_row else means,
        xerr=widths if is_row else None,
        yerr=None if is_row else widths,
        color=colour,
        linewidth=1.1,
        capsize=3,
        fmt="none",
        zorder=2,
    )


def _draw_seeds(
    axes: Axes, points: Sequence[Point], colour: str, *, is_row: bool
) -> None:
    """Small dots beside the bars; a collapsed trial's is a cross."""
    plain: list[tuple[float, float]] = []
    collapsed: list[tuple[float, float]] = []
    for point in points:
        alive = list(point.seeds)
        for value in point.collapsed:
            alive.remove(value)
        plain += [(point.position, value) for value in alive]
        collapsed += [(point.position, value) for value in point.collapsed]
    beside = (0.0, -7.0) if is_row else (7.0, 0.0)
    whole = axes.get_figure(root=True)
    for places, marker in ((plain, "o"), (collapsed, "x")):
        if places:
            across, along = zip(*places, strict=True)
            axes.scatter(
                *((along, across) if is_row else (across, along)),
                s=9.0 if marker == "o" else 26.0,
                color=colour,
                alpha=0.6,
                marker=marker,
                linewidths=0 if marker == "o" else 1.2,
                transform=offset_copy(axes.transData, whole, *beside, units="points"),
                zorder=4,
            )


def _draw_levels(axes: Axes, panel: Panel, *, is_row: bool) -> None:
    """Reference lines where the axis reaches; the others are named at its ends."""
    low, high = axes.get_xlim() if is_row else axes.get_ylim()
    below, above = ("← ", "→ ") if is_row else ("↓ ", "↑ ")
    for level in panel.levels:
        if low <= level.mean <= high:
            draw = axes.axvline if is_row else axes.axhline
            draw(level.mean, color=QUIET, linestyle="--", linewidth=1.1, zorder=1)
            _name_level(axes, level, level.mean, "", is_row=is_row)
        elif level.mean < low:
            _name_level(axes, level, low, below, is_row=is_row)
        else:
            _name_level(axes, level, high, above, is_row=is_row)


def _name_level(
    axes: Axes, level: Level, at: float, arrow: str, *, is_row: bool
) -> None:
    """The name at the end of the line, or of the axis, outside the curve's space."""
    gap = " " if is_row else "\n"
    low, high = axes.get_xlim() if is_row else axes.get_ylim()
    where = (at - low) / (high - low)
    axes.annotate(
        f"{arrow}{visible(level.label)}{gap}{level.mean:.2f}",
        (at, 1.0) if is_row else (1.0, at),
        xycoords=axes.get_xaxis_transform() if is_row else axes.get_yaxis_transform(),
        xytext=(3 if where < 0.5 else -3, -2) if is_row else (4, 0),
        textcoords="offset points",
        ha=("left" if where < 0.5 else "right") if is_row else "left",
        va="top" if is_row else ("bottom", "center", "top")[round(2 * where)],
        fontsize=8.5,
        color=QUIET,
    )


def _value_limits(panel: Panel) -> tuple[float, float] | None:
    """Ends of the value axis; None where there is nothing to show.

    Holds every single value; intervals and reference lines as far as they reach.
    """
    values = [v for p in panel.points for v in (*p.seeds, p.mean) if v is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    ends = [
        end
        for point in panel.points
        if point.mean is not None and point.half_width is not None
        for end in (point.mean - point.half_width, point.mean + point.half_width)
    ]
    wanted = [*ends, *values]
    longest = max(high - min(wanted), max(wanted) - low)
    reach = INTERVAL_REACH * (high - low) or longest or 1.0
    bottom, top = max(min(wanted), low - reach), min(max(wanted), high + reach)
    reach = LEVEL_REACH * (top - bottom)
    near = [v.mean for v in panel.levels if bottom - reach <= v.mean <= top + reach]
    bottom, top = min([bottom, *near]), max([top, *near])
    margin = 0.06 * (top - bottom) or 1.0
    return bottom - margin, top + margin


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
