"""What was chosen on the validation split, in one number and a note for all draws."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


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
