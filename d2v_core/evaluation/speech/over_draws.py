"""A score over several label draws: their mean, and how far they lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from d2v_core.evaluation.outcome import Evaluation


def over_draws(scores: Mapping[str, Sequence[float]]) -> Evaluation:
    """Average scores over label draws; with two draws or more also their deviation.

    Args:
        scores: In per cent at each draw, by the metric's full name.
    """
    means = {name: statistics.fmean(values) for name, values in scores.items()}
    spreads = {
        f"{name}_draw_sd": statistics.stdev(values)
        for name, values in scores.items()
        if len(values) > 1
    }
    draws = {name: tuple(values) for name, values in scores.items()}
    return Evaluation({**means, **spreads}, {}, draws=draws)


def middle(choices: Sequence[float]) -> float:
    """The median choice, the lower of two: it was chosen in some draw."""
    return statistics.median_low(choices)


def edge_note(what: str, choices: Sequence[float], grid: Sequence[float]) -> str:
    """Say where choices lie on the edge of their grid; empty: nowhere.

    Args:
        what: Was chosen.
        choices: In each draw.
        grid: To choose from.
    """
    ends = (min(grid), max(grid))
    outer = [choice for choice in choices if len(grid) > 1 and choice in ends]
    if not outer:
        return ""
    count = f" in {len(outer)} of {len(choices)} draws" if len(choices) > 1 else ""
    return f"{what} {outer[0]:g} lies on the edge of its grid{count}"
