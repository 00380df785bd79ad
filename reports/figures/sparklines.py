"""Training curves as small drawings for the page: plain SVG, coloured by its style.

Drawn by hand and not by matplotlib: dozens of lines must stay small, and every line
carries its arm as a tooltip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from reports.figures.training_curves import Curve
from reports.text import visible

WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 10, 24
NUM_COLOURS = 8
"""Classes ``line-0`` and up in the style sheet; then dashes, then longer dashes."""
DASHES = ("", "5 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class SmallAxes:
    """Places of values in a drawing.

    Attributes:
        low: At the bottom.
        high: At the top, above it.
        last: At the right end; 0 is at the left one.
    """

    low: float
    high: float
    last: float

    def across(self, place: float) -> float:
        """How far from the left."""
        return LEFT + (WIDTH - LEFT - RIGHT) * place / self.last

    def along(self, value: float) -> float:
        """How far from the top."""
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def frame(self, end: str) -> str:
        """Both axes with their ends, the right one in words."""
        bottom = HEIGHT - BOTTOM
        return (
            f'<path class="frame" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 5}" y="{TOP + 4}" text-anchor="end">{self.high:.3g}'
            f'</text><text x="{LEFT - 5}" y="{bottom}" text-anchor="end">{self.low:.3g}'
            f'</text><text x="{LEFT}" y="{HEIGHT - 7}">0</text>'
            f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 7}" text-anchor="end">{end}</text>'
        )


def small_axes(values: Iterable[float], last: float) -> SmallAxes:
    """Axes that hold these values, at least one."""
    numbers = list(values)
    low, high = min(numbers), max(numbers)
    middle = low == high
    return SmallAxes(low - 0.5 * middle, high + 0.5 * middle, last)


def draw_curves(
    curves: Sequence[Curve], arms: Sequence[str], threshold: float | None = None
) -> Markup:
    """One metric, one line per arm; a cross where a seed collapsed.

    Args:
        curves: Those of one metric, at least one.
        arms: All arms, in the order that gives them their colours.
        threshold: Least healthy value, a dotted line where the axis reaches it.
    """
    values = [value for curve in curves for value in curve.means]
    low, high = min(values), max(values)
    if threshold is not None and low > threshold > low - 0.25 * (high - low):
        low = threshold
    last = max(max(curve.steps[-1] for curve in curves), 1)
    axes = small_axes((low, high), last)
    across, along = axes.across, axes.along
    parts = [axes.frame(f"{last:,} updates")]
    if threshold is not None and axes.low <= threshold <= axes.high:
        y = along(threshold)
        parts.append(
            f'<line class="threshold" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
            f'y1="{y:.1f}" y2="{y:.1f}"><title>least healthy value '
            f"{threshold:g}</title></line>"
        )
    for curve in curves:
        points = " ".join(
            f"{across(step):.1f},{along(value):.1f}"
            for step, value in zip(curve.steps, curve.means, strict=True)
        )
        style, name = line_style(arms.index(curve.arm)), escape(visible(curve.arm))
        parts.append(
            f'<polyline {style} points="{points}">'
            f"<title>{name}: mean of {curve.num_seeds}</title></polyline>"
        )
        if len(curve.steps) == 1:
            x, y = across(curve.steps[0]), along(curve.means[0])
            parts.append(f'<circle {style} cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
    parts += [
        _cross(across(step), along(curve.at(step)), f"{curve.arm}, seed {seed}", step)
        for curve in curves
        for step, seed in curve.collapses
    ]
    return drawing(parts)


def drawing(parts: Iterable[str]) -> Markup:
    """Parts as one drawing."""
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="curves" aria-hidden="true">'
    return Markup(f"{head}{''.join(parts)}</svg>")


def line_style(index: int) -> Markup:
    """Attributes of a line: colours first, then dashes."""
    dash = DASHES[index // NUM_COLOURS % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return Markup(f'class="line-{index % NUM_COLOURS}"{dashed}')


def _cross(x: float, y: float, who: str, step: int) -> str:
    return (
        f'<path class="collapse" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8">'
        f"<title>{escape(visible(who))} collapsed at step {step:,}</title></path>"
    )
