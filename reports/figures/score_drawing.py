"""The score over training as a small drawing: means as lines, seeds as dots."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from reports.figures.score_curves import ScoreFigure
from reports.figures.sparklines import drawing, line_style, small_axes
from reports.text import visible


def draw_scores(figure: ScoreFigure, arms: Sequence[str]) -> Markup:
    """One score, one line per arm with a mark at every probe, a dot per seed.

    Args:
        figure: The numbers.
        arms: All arms, in the order that gives them their colours.
    """
    values = (point.value for curve in figure.curves for point in curve.points)
    axes = small_axes(values, last=1.0)
    parts = [axes.frame("whole training")]
    for curve in figure.curves:
        style, name = line_style(arms.index(curve.arm)), escape(visible(curve.arm))
        dots = (
            f'<circle {style} cx="{axes.across(point.share):.1f}" '
            f'cy="{axes.along(point.value):.1f}" r="1.8"><title>{name}, seed '
            f"{point.seed} at {point.share:.0%}: {point.value:.2f}</title></circle>"
            for point in curve.points
        )
        parts.append(f'<g class="seeds">{"".join(dots)}</g>')
        places = {
            share: f"{axes.across(share):.1f},{axes.along(mean):.1f}"
            for share, mean in curve.means.items()
        }
        parts.append(
            f'<polyline {style} points="{" ".join(places.values())}">'
            f"<title>{name}: mean of {curve.num_seeds}</title></polyline>"
        )
        for share, mean in curve.means.items():
            x, y = places[share].split(",")
            parts.append(
                f'<circle {style} cx="{x}" cy="{y}" r="3"><title>{name}, mean at '
                f"{share:.0%}: {mean:.2f}</title></circle>"
            )
    return drawing(parts)
