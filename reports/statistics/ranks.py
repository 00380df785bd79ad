"""Do two sources order the arms alike? Rank correlation and agreement on the best.

The interval of a rank correlation comes from resampled seeds, the same for all arms, so
it says how much of our own order is chance, not how well the paper's is known. Noise
hides order, so where arms lie close together few seeds give an estimate too near 0 and
an interval that misses the true one. By simulation (400 each; repeated by
``tests/reports/statistics/test_ranks.py``) a nominal 95 % interval holds the true tau
in

============================================== ======= ======= ========
arms and their distance in seeds' deviations   3 seeds 5 seeds 10 seeds
============================================== ======= ======= ========
4 arms, each 1/2 from the next                 89 %    97 %    100 %
8 arms, each 1/4 from the next                 30 %    64 %    85 %
============================================== ======= ======= ========

A p from permuting arms within each seed stands beside it, and verdicts need both
(``tests/reports/claims/test_verdicts.py`` measures how often they are wrong).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports.statistics.inference import (
    ALPHA,
    MIN_PAIRS,
    Floats,
    Interval,
    Values,
)
from reports.statistics.planning import MAX_SEEDS

NUM_RANK_RESAMPLES = 1_999
NUM_PLAN_RESAMPLES = 499
"""Resamples of the planner, whose answer is a rough one anyway."""
NUM_PLANS = 30
"""Numbers of seeds the planner knows, from few to 1,000."""
BLOCK = 4_000_000
"""Numbers held at a time by the resampling of ranks, which has arms times arms."""
POOL = 20_000_000
"""Pairs of arms that the permutation test looks at, over all seeds."""
LEAST_POOL = 30
"""Permutations of one seed, if there are so many seeds that the pool is used up."""


def order_of(reference: Sequence[float] | Floats, tolerance: float = 0.0) -> Floats:
    """Sign of every pair's difference; 0 within twice the reading error, a tie.

    Such ties need not form groups: the error can hide the steps from a to b and from b
    to c, and not the one from a to c.
    """
    wanted = np.asarray(reference, dtype=float)
    first, second = _pairs(len(wanted))
    differences = wanted[first] - wanted[second]
    # Decimals that lie exactly as far apart count as tied in spite of rounding.
    tied = np.abs(differences) <= 2 * tolerance * (1 + 1e-9)
    return np.where(tied, 0.0, np.sign(differences))


def kendall_tau_b(rows: Floats, order: Floats) -> Floats:
    """Kendall's tau-b of every row with an order; NaN where one of them is constant.

    Args:
        rows: Values, of shape (rows, arms).
        order: Signs, of shape (pairs of arms,), as from :func:`order_of`.
    """
    num_rows, arms = rows.shape
    signs = np.zeros((arms, arms), dtype=np.float32)
    signs[_pairs(arms)] = order
    # Antisymmetric, so that "is above" alone counts a pair once, with its sign. Sums
    # of ones are exact in 32 bits up to 16 million pairs.
    signs -= signs.T
    concordance, num_untied = np.empty(num_rows), np.empty(num_rows)
    size = max(1, BLOCK // arms**2)
    for start in range(0, num_rows, size):
        block = rows[start : start + size]
        above = block[:, :, None] > block[:, None, :]
        flat = above.reshape(len(block), -1)
        concordance[start : start + size] = flat @ signs.ravel()
        num_untied[start : start + size] = np.count_nonzero(flat, axis=1)
    scale = np.sqrt(num_untied * np.abs(order).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(scale > 0, concordance / scale, np.nan)
    return result


@cache
def _pairs(num_arms: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(num_arms, k=1)


@dataclass(frozen=True)
class RankCorrelation:
    """The likeness of two orders of the same arms.

    Attributes:
        tau: Kendall's tau-b of the means over the seeds that all arms have.
        alpha: Level: the interval's confidence is ``1 - alpha``.
        interval: Percentiles over resampled seeds, the same seeds for all arms;
            None for fewer than two seeds.
        p: Two-sided, of the mean tau over seeds when arms are permuted within each
            seed, that is, make no difference; None for one seed.
        n: Seeds.
        values: Scores, of shape (seeds, arms).
        order: Signs, of shape (pairs of arms,): signs of the reference's differences.
    """

    tau: float
    interval: Interval | None
    p: float | None
    n: int
    values: Floats
    order: Floats
    alpha: float

    @property
    def num_arms(self) -> int:
        """Arms that were compared."""
        return int(self.values.shape[1])


def rank_correlation(
    values: Mapping[str, Values],
    reference: Mapping[str, float],
    generator: np.random.Generator,
    tolerance: float = 0.0,
    alpha: float = ALPHA,
) -> RankCorrelation | None:
    """Rank correlation of arms with a reference, over the seeds all arms have.

    Args:
        values: Metric by seed of each arm.
        reference: The other source's numbers by arm; arms without one are left out.
        generator: Draws seeds and permutations.
        tolerance: Reading error of the reference; its values up to twice that apart
            are tied.
        alpha: Level of the interval.

    Returns:
        None where there is no order: fewer than two arms, no common seed, or all tied.
    """
    arms = [arm for arm in values if arm in reference]
    if len(arms) < 2:
        return None
    common = sorted(set.intersection(*(set(values[arm]) for arm in arms)))
    if not common:
        return None
    data = np.array([[values[arm][seed] for arm in arms] for seed in common])
    order = order_of([reference[arm] for arm in arms], tolerance)
    tau = float(kendall_tau_b(data.mean(axis=0, keepdims=True), order)[0])
    if math.isnan(tau):
        return None
    n = len(common)
    return RankCorrelation(
        tau=tau,
        interval=_rank_interval(data, order, generator, alpha) if n > 1 else None,
        p=_rank_p(data, order, generator) if n > 1 else None,
        n=n,
        values=data,
        order=order,
        alpha=alpha,
    )


def seeds_to_order(
    correlation: RankCorrelation, generator: np.random.Generator
) -> int | None:
    """About how many seeds like the measured ones give interval and p clear of 0.

    The p is the normal one of the mean tau over seeds, if that stays as measured.

    Returns:
        At least 6, and more than there are; None when 1,000 do not do.
    """
    least = max(correlation.n + 1, MIN_PAIRS)
    if least >= MAX_SEEDS:
        return None
    chance = _chance_taus(correlation.values, correlation.order, generator)
    by_seed = np.nan_to_num(kendall_tau_b(correlation.values, correlation.order))
    z_of_one_seed = abs(by_seed.mean()) / np.sqrt(np.mean(np.square(chance)))

    def is_enough(n: int) -> bool:
        if 2 * stats.norm.sf(z_of_one_seed * math.sqrt(n)) >= correlation.alpha:
            return False
        interval = _rank_interval(
            correlation.values,
            correlation.order,
            generator,
            correlation.alpha,
            n,
            NUM_PLAN_RESAMPLES,
        )
        return interval.low > 0.0 or interval.high < 0.0

    plans = np.geomspace(least, MAX_SEEDS - 1, NUM_PLANS).round().astype(int)
    place = bisect_left(plans.tolist(), True, key=is_enough)
    return int(plans[place]) if place < len(plans) else None


def _rank_interval(
    data: Floats,
    order: Floats,
    generator: np.random.Generator,
    alpha: float,
    num_drawn: int | None = None,
    num_resamples: int = NUM_RANK_RESAMPLES,
) -> Interval:
    """The interval with as many seeds as there are, or another number of them."""
    n, drawn = len(data), num_drawn or len(data)
    shares = [1 / n] * n
    taus = []
    size = max(1, BLOCK // n)
    for start in range(0, num_resamples, size):
        count = min(size, num_resamples - start)
        weights = generator.multinomial(drawn, shares, count) / drawn
        taus.append(kendall_tau_b(weights @ data, order))
    tail = alpha / 2
    low, high = np.nanquantile(np.concatenate(taus), [tail, 1.0 - tail])
    return Interval(float(low), float(high), "percentile")


def _rank_p(data: Floats, order: Floats, generator: np.random.Generator) -> float:
    """Share of permutations with a mean tau over seeds as far from 0 as ours.

    Not the tau of the means: it has only as many values as there are orders, whatever
    the number of seeds, so that four arms could never show anything.
    """
    pool = _chance_taus(data, order, generator)
    total = np.zeros(NUM_RANK_RESAMPLES)
    for taus in pool:
        total += taus[generator.integers(0, len(taus), NUM_RANK_RESAMPLES)]
    observed = float(np.nan_to_num(kendall_tau_b(data, order)).sum())
    hits = int(np.sum(np.abs(total) >= abs(observed) - 1e-9))
    return (1 + hits) / (1 + NUM_RANK_RESAMPLES)


def _chance_taus(
    data: Floats, order: Floats, generator: np.random.Generator
) -> list[Floats]:
    """Taus of each seed's values when its arms are permuted; 0 where all are alike.

    Of up to six arms every permutation, else random ones.
    """
    n, arms = data.shape
    if math.factorial(arms) <= NUM_RANK_RESAMPLES:
        orders = np.array(list(permutations(range(arms))))
        return [np.nan_to_num(kendall_tau_b(row[orders], order)) for row in data]
    size = min(NUM_RANK_RESAMPLES, max(LEAST_POOL, POOL // (n * len(order))))
    shuffled = (
        generator.permuted(np.broadcast_to(row, (size, arms)), axis=1) for row in data
    )
    return [np.nan_to_num(kendall_tau_b(rows, order)) for rows in shuffled]
