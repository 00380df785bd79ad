"""How many seeds would settle a claim about differences between arms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reports.claims.evidence import (
    NOT_REACHABLE,
    Comparison,
    MoreDraws,
    SeedsNeeded,
)
from reports.statistics.planning import seeds_to_exclude

ONE_SIDED = 0.5
"""A one-sided p as a multiple of the two-sided one."""


@dataclass(frozen=True)
class Plan:
    """Comparisons that would decide a rule, if they were clear of a border.

    Attributes:
        ones: The comparisons.
        borders: Values they must be clear of.
        tried: Factor of their two-sided p, which is Bonferroni's of their intervals.
        alpha: What a p must stay below.
        needs_all: Whether all of them must be clear; else one of them is enough.
    """

    ones: Sequence[Comparison]
    borders: tuple[float, ...]
    tried: float
    alpha: float
    needs_all: bool = False

    @property
    def more_draws(self) -> int | None:
        """Label draws worth a thought; None where nobody knows what they would do."""
        noises = [one.noise for one in self.ones]
        wanted = [noise.more_draws for noise in noises if noise is not None]
        return max((n for n in wanted if n), default=None) if all(noises) else None

    def seeds(self, num_draws: int | None = None) -> int | None:
        """The fewest seeds that do, with so many label draws; None: not reachable."""
        pick = min if self.needs_all else max
        clearness = pick(one.clearness(self.borders, num_draws) for one in self.ones)
        distance, spread = (1.0, 0.0) if math.isinf(clearness) else (clearness, 1.0)
        confidence = 1.0 - self.alpha / self.tried
        return seeds_to_exclude(
            distance, spread, confidence, tried=self.tried, alpha=self.alpha
        )


def planned_seeds(
    num_seeds: int, plans: Sequence[Plan]
) -> tuple[SeedsNeeded, MoreDraws | None]:
    """Seeds of the first plan that has comparisons; None without such a plan.

    More than there are: as it is, they do not decide. Evaluated again with more label
    draws they may, so the second number may be theirs; it is there if it is smaller.
    """
    for plan in plans:
        if plan.ones:
            reached = plan.seeds()
            needed = NOT_REACHABLE if reached is None else max(reached, num_seeds + 1)
            return needed, _with_more_draws(num_seeds, plan, needed)
    return None, None


def _with_more_draws(num_seeds: int, plan: Plan, needed: int | str) -> MoreDraws | None:
    num_draws = plan.more_draws
    reached = None if num_draws is None else plan.seeds(num_draws)
    if num_draws is None or reached is None:
        return None
    seeds = max(reached, num_seeds)
    saves = isinstance(needed, str) or seeds < needed
    return MoreDraws(num_draws, seeds) if saves else None
