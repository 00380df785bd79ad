"""Training curves as small drawings for the page: plain SVG, coloured by its style.

Drawn by hand and not by matplotlib: dozens of lines must stay small, and every line
carries its arm as a tooltip.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from reports.figures.training_curves import Curve
from reports.text import visible

WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 10, 24
NUM_COLOURS = 8
"""Classes ``line-0`` and up in the style sheet; then dashes, then longer dashes."""
DASHES = ("", "5 3", "2 3", "8 3 2 3")


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
    if high == low:
        low, high = low - 0.5, high + 0.5
    last = max(max(curve.steps[-1] for curve in curves), 1)

    def across(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def along(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    parts = [_frame(low, high, last)]
    if threshold is not None and low <= threshold <= high:
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
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="curves" aria-hidden="true">'
    return Markup(f"{head}{''.join(parts)}</svg>")


def line_style(index: int) -> Markup:
    """Attributes of a line: colours first, then dashes."""
    dash = DASHES[index // NUM_COLOURS % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return Markup(f'class="line-{index % NUM_COLOURS}"{dashed}')


def _frame(low: float, high: float, last: int) -> str:
    bottom = HEIGHT - BOTTOM
    return (
        f'<path class="frame" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 5}" y="{TOP + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{LEFT - 5}" y="{bottom}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 7}">0</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 7}" text-anchor="end">'
        f"{last:,} updates</text>"
    )


def _cross(x: float, y: float, who: str, step: int) -> str:
    return (
        f'<path class="collapse" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8">'
        f"<title>{escape(visible(who))} collapsed at step {step:,}</title></path>"
    )
