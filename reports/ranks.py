"""Do two sources order the arms alike? Rank correlation and agreement on the best.

The interval of a rank correlation comes from resampled seeds, the same for all arms, so
it says how much of our own order is chance, not how well the paper's is known. With few
seeds that interval is too short: a p from permuting arms within each seed stands beside
it, and verdicts need both (``tests/reports/test_verdicts.py`` measures how often they
are wrong).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from reports.inference import (
    CONFIDENCE,
    MAX_SEEDS,
    MIN_PAIRS,
    Floats,
    Interval,
    Values,
    paired_differences,
    t_interval,
)

NUM_RANK_RESAMPLES = 1_999
BLOCK = 2_000_000
"""Numbers held at a time by the resampling of ranks, which has arms times arms."""
NUM_PLANS = 30
"""Numbers of seeds tried by the planner, from few to 1,000."""
POOL = 50_000_000
"""Pairs of arms looked at by the permutation test, over all seeds."""


def kendall_tau_b(rows: Floats, reference: Sequence[float] | Floats) -> Floats:
    """Kendall's tau-b of every row with a reference; NaN where one of them is constant.

    Args:
        rows: Of shape (rows, arms).
        reference: Of shape (arms,).
    """
    data = np.atleast_2d(np.asarray(rows, dtype=float))
    wanted = np.asarray(reference, dtype=float)
    pairs = np.array(list(combinations(range(data.shape[1]), 2)), dtype=int)
    if len(pairs) == 0:
        return np.full(len(data), np.nan)
    first, second = pairs.T
    ours = np.sign(data[:, first] - data[:, second])
    theirs = np.sign(wanted[first] - wanted[second])
    scale = np.sqrt(np.abs(ours).sum(axis=1) * np.abs(theirs).sum())
    concordance = ours @ theirs
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(scale > 0, concordance / scale, np.nan)
    return result


@dataclass(frozen=True)
class RankCorrelation:
    """How alike two orders of the same arms are.

    Attributes:
        tau: Kendall's tau-b of the means over the seeds that all arms have.
        interval: 95 %, percentiles over resampled seeds, the same seeds for all arms;
            None for fewer than two seeds.
        p: Two-sided, of the mean tau over seeds when arms are permuted within each
            seed, that is, make no difference; None for one seed.
        n: Seeds.
        values: Of shape (seeds, arms).
        reference: What the order is compared with, by arm.
    """

    tau: float
    interval: Interval | None
    p: float | None
    n: int
    values: Floats
    reference: Floats

    @property
    def num_arms(self) -> int:
        """Arms that were compared."""
        return len(self.reference)


def rank_correlation(
    values: Mapping[str, Values],
    reference: Mapping[str, float],
    generator: np.random.Generator,
) -> RankCorrelation | None:
    """Rank correlation of arms with a reference, over the seeds all arms have.

    Args:
        values: Metric by seed of each arm.
        reference: What the order is compared with, by arm; others are left out.
        generator: Draws seeds and permutations.

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
    wanted = [reference[arm] for arm in arms]
    tau = float(kendall_tau_b(data.mean(axis=0), wanted)[0])
    if math.isnan(tau):
        return None
    n = len(common)
    return RankCorrelation(
        tau=tau,
        interval=_rank_interval(data, wanted, generator) if n > 1 else None,
        p=_rank_p(data, wanted, generator) if n > 1 else None,
        n=n,
        values=data,
        reference=np.array(wanted),
    )


def seeds_to_order(
    found: RankCorrelation, generator: np.random.Generator
) -> int | None:
    """About how many seeds like the measured ones give an interval clear of 0.

    Returns:
        At least 6; None when 1,000 do not do.
    """
    least = max(len(found.values) + 1, MIN_PAIRS)
    for n in np.unique(
        np.geomspace(least, MAX_SEEDS - 1, NUM_PLANS).round().astype(int)
    ):
        interval = _rank_interval(found.values, found.reference, generator, int(n))
        if interval.low > 0.0 or interval.high < 0.0:
            return int(n)
    return None


def _rank_interval(
    data: Floats,
    wanted: Sequence[float] | Floats,
    generator: np.random.Generator,
    num_drawn: int | None = None,
) -> Interval:
    """Of as many seeds as there are, or of another number drawn from these."""
    n, drawn = len(data), num_drawn or len(data)
    shares = [1 / n] * n
    taus = [
        kendall_tau_b(generator.multinomial(drawn, shares, size) @ data / drawn, wanted)
        for size in _blocks(data)
    ]
    tail = (1.0 - CONFIDENCE) / 2
    low, high = np.nanquantile(np.concatenate(taus), [tail, 1.0 - tail])
    return Interval(float(low), float(high), "percentile")


def _rank_p(
    data: Floats, wanted: Sequence[float], generator: np.random.Generator
) -> float:
    """Share of permutations with a mean tau over seeds as far from 0 as ours.

    Not the tau of the means: it has only as many values as there are orders, whatever
    the number of seeds, so that four arms could never show anything.
    """
    num_seeds, num_arms = data.shape
    pairs = num_arms * (num_arms - 1) // 2
    size = min(NUM_RANK_RESAMPLES, max(100, POOL // (num_seeds * pairs)))
    total, observed = np.zeros(NUM_RANK_RESAMPLES), 0.0
    for row in data:
        shuffled = generator.permuted(np.broadcast_to(row, (size, num_arms)), axis=1)
        taus = np.nan_to_num(kendall_tau_b(shuffled, wanted))
        total += taus[generator.integers(0, size, NUM_RANK_RESAMPLES)]
        observed += float(np.nan_to_num(kendall_tau_b(row, wanted))[0])
    hits = int(np.sum(np.abs(total) >= abs(observed) - 1e-9))
    return (1 + hits) / (1 + NUM_RANK_RESAMPLES)


def _blocks(data: Floats) -> list[int]:
    """Sizes that add up to the number of resamples and fit into memory."""
    n, arms = data.shape
    size = max(1, BLOCK // (arms * max(n, arms)))
    whole, rest = divmod(NUM_RANK_RESAMPLES, size)
    return [size] * whole + [rest] * bool(rest)


@dataclass(frozen=True)
class BestArm:
    """Whether two sources name the same best arm.

    Attributes:
        ours: Best by our means.
        theirs: Best by the reference, among the arms both have.
        distance: Places between the reference's best arm and the top of our order.
        difference: Ours minus theirs, by seed; empty when they are the same arm.
    """

    ours: str
    theirs: str
    distance: int
    difference: Floats

    @property
    def is_close(self) -> bool | None:
        """Same arm, or the 95 % interval of their difference contains 0.

        None where fewer than two common seeds give no interval.
        """
        if self.ours == self.theirs:
            return True
        interval = t_interval(self.difference)
        return None if interval is None else interval.low <= 0.0 <= interval.high


def best_arm(
    values: Mapping[str, Values], reference: Mapping[str, float]
) -> BestArm | None:
    """Compare best arms; both sides are given so that higher is better."""
    arms = [arm for arm in values if arm in reference and values[arm]]
    if len(arms) < 2:
        return None
    means = {arm: float(np.mean(list(values[arm].values()))) for arm in arms}
    ours = max(arms, key=lambda arm: means[arm])
    theirs = max(arms, key=lambda arm: reference[arm])
    distance = sum(means[arm] > means[theirs] for arm in arms)
    same = ours == theirs
    difference = (
        np.empty(0) if same else paired_differences(values[ours], values[theirs])
    )
    return BestArm(ours, theirs, distance, difference)
