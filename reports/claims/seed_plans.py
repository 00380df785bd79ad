"""How many seeds would settle a claim about differences between arms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reports.claims.evidence import NOT_REACHABLE, Comparison, SeedsNeeded
from reports.statistics.planning import seeds_to_exclude

ONE_SIDED = 0.5
"""A one-sided p as a multiple of the two-sided one."""


@dataclass(frozen=True)
class Plan:
    """Comparisons that would decide a rule, if they were clear of a border.

    Attributes:
        ones: The comparisons.
        borders: Values they must be clear of.
        confidence: That of their intervals.
        tried: Factor of their two-sided p.
        needs_all: Whether all of them must be clear; else one of them is enough.
    """

    ones: Sequence[Comparison]
    borders: tuple[float, ...]
    confidence: float
    tried: float
    needs_all: bool = False

    def seeds(self) -> int | None:
        """The fewest seeds that do; None: not reachable."""
        pick = min if self.needs_all else max
        clearness = pick(one.clearness(self.borders) for one in self.ones)
        distance, spread = (1.0, 0.0) if math.isinf(clearness) else (clearness, 1.0)
        return seeds_to_exclude(distance, spread, self.confidence, tried=self.tried)


def planned_seeds(num_seeds: int, plans: Sequence[Plan]) -> SeedsNeeded:
    """Seeds of the first plan that has comparisons; None without such a plan.

    More than there are: as it is, they do not decide.
    """
    for plan in plans:
        if plan.ones:
            needed = plan.seeds()
            return NOT_REACHABLE if needed is None else max(needed, num_seeds + 1)
    return None
