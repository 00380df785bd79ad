"""Several looks at growing data, at levels that together stay at one level.

Who tests at 0.05 after 8, 12, 16 and 20 seeds is wrong far more often than in 5 % of
cases. So the error rate is spent over the looks: a function says how much of it may be
used up at each share of the seeds (Lan and DeMets, Biometrika 70, 1983), here the one
that comes close to Pocock's equal levels, ``alpha * log(1 + (e - 1) * share)``. It
spends much at the first look, which is where small samples have least of it to spare:
of 20 seeds the type of O'Brien and Fleming would leave 0.0008 at the eighth, and no
sign-flip p of 8 pairs is below 2 / 2**8 = 0.0078.

The level of each look follows from the joint distribution of the test statistics, in
the limit normal with correlation ``sqrt(n_i / n_j)``, whatever the test, by integrating
from look to look (Armitage, McPherson and Rowe, JRSS A 132, 1969). Exact tests of few
seeds have steps and are not normal: ``tests/reports/claims/test_looks_error.py``
measures what their verdicts do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from scipy import optimize, special

from reports.statistics.inference import ALPHA, Floats

FIRST_LOOK = 8
"""With fewer seeds hardly anything can be decided: of 20 seeds, 0.021 may be spent at
the sixth, and no sign-flip p of 6 pairs is below 0.031; at 7 no seed may disagree, and
one arm of two tried (Holm) is already out of reach. At 8, 3 arms tried are in reach."""
STEP = 4
"""Seeds between looks: fewer would save seeds, at smaller levels and more starts."""
MOST_SEEDS = 100
"""Largest number of seeds that looks are planned for."""
LEAST = 1e-12
"""Spent at each look at least."""
NODES = 160
"""Points of an integral: the levels below change by less than 1e-9 with twice as many
(``tests/reports/statistics/test_spending.py``)."""

Spending = Callable[[float, float], float]
"""From share of the seeds and level to what is spent by then."""


def planned_looks(max_seeds: int) -> tuple[int, ...]:
    """8, 12, 16, … and the largest number; none below 8."""
    if max_seeds < FIRST_LOOK:
        return ()
    return (*range(FIRST_LOOK, max_seeds, STEP), max_seeds)


def pocock_spent(share: float, alpha: float = ALPHA) -> float:
    """What may be spent until a share of the seeds; levels are then nearly equal."""
    return alpha * math.log1p((math.e - 1.0) * share)


@cache
def nominal_levels(
    looks: tuple[int, ...], alpha: float = ALPHA, spent: Spending = pocock_spent
) -> tuple[float, ...]:
    """The two-sided level of each look, all of which together have level ``alpha``.

    Of one-sided tests at these levels the whole is at ``alpha`` or below, too.

    Args:
        looks: Growing numbers of seeds; the last one is the planned end.
        alpha: Level of the whole.
        spent: How much of it until which share.
    """
    walk = _Walk()
    levels = []
    for look in looks:
        share = look / looks[-1]
        # Looks of a foreign store may lie so close that rounding uses all of it up.
        left = max(spent(share, alpha) - walk.crossed, LEAST)
        border = walk.border(share, left)
        walk.step(share, border)
        levels.append(float(2.0 * special.ndtr(-border)))
    return tuple(levels)


def crossing_chance(looks: Sequence[float], borders: Sequence[float]) -> float:
    """How often chance alone leads a z value out of ``±border`` at one look at least.

    Args:
        looks: Growing numbers of seeds, or shares of them.
        borders: Borders of z, one for each look.
    """
    walk = _Walk()
    for look, border in zip(looks, borders, strict=True):
        walk.step(look / looks[-1], border)
    return walk.crossed


class _Walk:
    """A Brownian motion that ends where it leaves the borders at a look.

    Attributes:
        crossed: Share of the motions that have ended.
    """

    def __init__(self) -> None:
        self.crossed = 0.0
        self._share = 0.0
        self._places: Floats = np.zeros(1)
        self._weights: Floats = np.ones(1)
        """Where the others are, as points that have a weight each."""

    def crossing(self, share: float, border: float) -> float:
        """Share of all motions that would end at this look."""
        scale = math.sqrt(share - self._share)
        edge = border * math.sqrt(share)
        beyond = special.ndtr((self._places - edge) / scale)
        below = special.ndtr((-edge - self._places) / scale)
        return float(self._weights @ (beyond + below))

    def border(self, share: float, chance: float) -> float:
        """The border that a motion leaves at this look with such a chance."""
        root = optimize.brentq(
            lambda border: self.crossing(share, border) - chance, 0.0, 38.0, xtol=1e-12
        )
        return float(root)

    def step(self, share: float, border: float) -> None:
        """Take the look."""
        ended = self.crossing(share, border)
        edge = border * math.sqrt(share)
        points, weights = np.polynomial.legendre.leggauss(NODES)
        places, widths = edge * points, edge * weights
        scale = math.sqrt(share - self._share)
        apart = (places[:, None] - self._places[None, :]) / scale
        density = np.exp(-0.5 * apart**2) / (scale * math.sqrt(2.0 * math.pi))
        self._weights = widths * (density @ self._weights)
        self._places, self._share = places, share
        self.crossed += ended
