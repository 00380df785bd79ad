"""Variance components of a score: label draws within seeds, and the seeds themselves.

A trial's score is the mean over R labelled subsets, each with a probe of its own. By
the method of moments: the variance within seeds is that of one draw, ``d``; the means
of the seeds vary by ``s + d / R``, so ``s``, that of the seeds, is what they vary more
than the draws explain, and 0 where they vary less. Of a difference between two arms the
same is done with the differences draw by draw, for both arms see the same subsets; what
the arms share is then in neither part.

Not seen, because all seeds share it: the test set, and the choice of all the labelled
examples that subsets are drawn from. The seeds' part holds what else a seed changes:
initial weights, data order, masks and augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np
from scipy import special

from reports.statistics.inference import CONFIDENCE, t_half_width

MAX_DRAWS = 100
"""Most draws that are planned with: more than the protocol takes are no plan."""
LEAST_PLANNED = 10
"""Fewest draws that are planned with."""
LEAST_SEEDS = 3
"""Fewer tell nothing of what seeds add: the draws then seem to cause everything."""
ROUNDING = 1e-9
"""Share of a half width that a longer one may have and still count as equal."""

Draws = Mapping[int, Sequence[float]]
"""The score at each label draw, by seed."""


@dataclass(frozen=True)
class Unknown:
    """There is no estimate.

    Attributes:
        reason: Why: ``one seed``.
    """

    reason: str


@dataclass(frozen=True)
class Noise:
    """What a mean over seeds varies by, and why.

    Attributes:
        num_seeds: Seeds behind it, three or more; of several arms the median.
        fewest_draws: Fewest label draws of a seed.
        most_draws: Most label draws of a seed.
        inverse_draws: Mean of 1 / R over the seeds.
        draw_variance: Variance of one draw, within seeds.
        mean_variance: Variance of the seeds' means, as they are.
        seed_freedom: Degrees of freedom between seeds.
        draw_freedom: Degrees of freedom within seeds.
        num_pooled: Arms, or differences, behind it.
    """

    num_seeds: int
    fewest_draws: int
    most_draws: int
    inverse_draws: float
    draw_variance: float
    mean_variance: float
    seed_freedom: int
    draw_freedom: int
    num_pooled: int = 1

    @property
    def draws_variance(self) -> float:
        """What label draws add to the variance of a seed's mean."""
        return self.draw_variance * self.inverse_draws

    @property
    def seed_variance(self) -> float:
        """What the seeds add; 0 where they vary less than the draws explain."""
        return max(0.0, self.mean_variance - self.draws_variance)

    @property
    def draws_share(self) -> float | None:
        """Share of the interval's variance that draws cause; None: nothing varies."""
        total = self.variance()
        return self.draws_variance / total if total > 0.0 else None

    @property
    def more_draws(self) -> int | None:
        """Draws worth a thought; None: there are as many as are planned with."""
        wanted = min(MAX_DRAWS, max(LEAST_PLANNED, 3 * self.most_draws))
        return wanted if wanted > self.most_draws else None

    def variance(self, num_draws: int | None = None) -> float:
        """That of a seed's mean, with so many draws or those there are."""
        inverse = self.inverse_draws if num_draws is None else 1.0 / num_draws
        return self.seed_variance + self.draw_variance * inverse

    def shrinkage(self, num_draws: int) -> float:
        """Standard deviation of a seed's mean with so many draws, to what it is."""
        now = self.variance()
        return math.sqrt(self.variance(num_draws) / now) if now > 0.0 else 1.0

    def half_width(
        self, num_seeds: int | None = None, num_draws: int | None = None
    ) -> float:
        """Half the 95 % t interval with so many seeds and draws, or those there are.

        With those there are it is that of the table, so where the draws explain more
        than there is, it is shorter than they say.
        """
        shrinkage = 1.0 if num_draws is None else self.shrinkage(num_draws)
        spread = math.sqrt(self.mean_variance) * shrinkage
        return t_half_width(spread, num_seeds or self.num_seeds, CONFIDENCE)

    def equivalent_seeds(self, num_draws: int) -> int:
        """Fewest seeds whose interval with so many draws is no longer than it is."""
        limit = self.half_width() * (1.0 + ROUNDING)
        seeds = range(2, self.num_seeds)
        fits = (n for n in seeds if self.half_width(n, num_draws) <= limit)
        return next(fits, self.num_seeds)

    def share_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of :attr:`draws_share` if everything is normal.

        By the ratio of the two mean squares, which has Fisher's F distribution times
        the inverse of the share; with unequal numbers of draws nearly.

        Returns:
            None of several arms, which are not independent, and where only one of the
            two varies.
        """
        if self.num_pooled > 1 or min(self.draws_variance, self.mean_variance) <= 0.0:
            return None
        ratio = self.mean_variance / self.draws_variance
        freedom = self.seed_freedom, self.draw_freedom
        tails = (1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0
        low, high = (float(special.fdtri(*freedom, tail)) / ratio for tail in tails)
        return min(1.0, low), min(1.0, high)


def noise_of(draws: Draws) -> Noise | Unknown:
    """The components of one arm's score, or of a difference.

    Seeds may have unequal numbers of draws; one with a single draw tells of the seeds
    only.

    Args:
        draws: Finite numbers; seeds without any are left out.
    """
    seeds = [np.asarray(one, dtype=float) for one in draws.values() if len(one)]
    if not seeds:
        return Unknown("no label draws")
    counts = [len(one) for one in seeds]
    if max(counts) < 2:
        return Unknown("one label draw")
    if len(seeds) < LEAST_SEEDS:
        return Unknown("one seed" if len(seeds) == 1 else f"{len(seeds)} seeds")
    means = np.array([one.mean() for one in seeds])
    within = sum(float(((one - one.mean()) ** 2).sum()) for one in seeds)
    freedom = sum(counts) - len(counts)
    return Noise(
        num_seeds=len(seeds),
        fewest_draws=min(counts),
        most_draws=max(counts),
        inverse_draws=float(np.mean([1.0 / count for count in counts])),
        draw_variance=within / freedom,
        mean_variance=float(means.var(ddof=1)),
        seed_freedom=len(seeds) - 1,
        draw_freedom=freedom,
    )


def draw_differences(draws: Draws, others: Draws) -> dict[int, list[float]]:
    """``draws - others`` draw by draw, of the seeds that have the same number of them.

    The means of unequal numbers of draws share only some subsets: their difference has
    no single R.
    """
    return {
        seed: [
            one - other for one, other in zip(draws[seed], others[seed], strict=True)
        ]
        for seed in sorted(draws.keys() & others.keys())
        if len(draws[seed]) == len(others[seed])
    }


def pooled(each: Iterable[Noise | Unknown]) -> Noise | Unknown:
    """One for several arms: the mean of their variances by degrees of freedom.

    The seeds' variance is cut at 0 after pooling, so that arms where it came out
    negative count. Differences to one baseline are not independent; their mean is
    right all the same.
    """
    given = list(each)
    known = [one for one in given if isinstance(one, Noise)]
    if not known:
        reasons = dict.fromkeys(one.reason for one in given if isinstance(one, Unknown))
        return Unknown("; ".join(reasons) or "nothing to compare")
    seed_freedom = sum(one.seed_freedom for one in known)
    draw_freedom = sum(one.draw_freedom for one in known)
    return Noise(
        num_seeds=median_low(one.num_seeds for one in known),
        fewest_draws=min(one.fewest_draws for one in known),
        most_draws=max(one.most_draws for one in known),
        inverse_draws=sum(o.seed_freedom * o.inverse_draws for o in known)
        / seed_freedom,
        draw_variance=sum(o.draw_freedom * o.draw_variance for o in known)
        / draw_freedom,
        mean_variance=sum(o.seed_freedom * o.mean_variance for o in known)
        / seed_freedom,
        seed_freedom=seed_freedom,
        draw_freedom=draw_freedom,
        num_pooled=len(known),
    )
