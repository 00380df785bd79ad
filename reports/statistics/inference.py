"""Intervals, tests and rank agreement on values by seed; pure functions.

Which interval when. Measured by simulation (4,000 normal samples each; repeated by
``tests/reports/statistics/test_inference.py``), a nominal 95 % interval of a mean
covers it in

===== ========= ======================= ==============
seeds Student t percentile bootstrap    BCa bootstrap
===== ========= ======================= ==============
3     95 %      75 %                    73 %
5     95 %      84 %                    84 %
10    95 %      91 %                    90 %
===== ========= ======================= ==============

so the tables show the t interval, and the bootstrap interval stands beside it in
``table.csv`` for who distrusts normality. Three values have only ten different
resampled means: BCa's corrections are noise there, so below five seeds the percentile
interval is given, and its method says so. Skewed values need more seeds whatever the
interval: of exponential ones the t interval covers 89 % with 3 seeds and 90 % with 10,
the BCa one 68 % and 88 %.

Nothing here draws from a global generator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

CONFIDENCE = 0.95
ALPHA = 0.05
"""Level that a p must stay below."""
NUM_RESAMPLES = 9_999
MAX_DRAWN = 2_000_000
"""Most numbers drawn for one bootstrap: of 1,000 seeds, 2,000 resamples are enough."""
SIGN_BLOCK = 1_000_000
"""Random signs held at a time."""
EXACT_UP_TO = 20
"""Pairs up to which every one of the ``2**n`` sign flips is tried."""
BCA_FROM = 5
"""Seeds from which the bootstrap interval is bias-corrected and accelerated."""
MIN_PAIRS = 6
"""Fewest pairs with which a two-sided sign-flip p can be below 0.05: 2 / 2**6."""

LARGEST = 1e100
"""Numbers of a store beyond this count as not finite: their squares must stay finite,
and MLflow's SQL stores keep infinity as the largest double."""

Floats = NDArray[np.float64]
Values = Mapping[int, float]
"""A metric by seed."""


@dataclass(frozen=True)
class Interval:
    """Two ends and how they were found.

    Attributes:
        low: Lower end.
        high: Upper end.
        method: ``t``, ``percentile`` or ``BCa``.
    """

    low: float
    high: float
    method: str


def paired_differences(values: Values, others: Values) -> Floats:
    """``values - others`` over the seeds both have, in order of seed."""
    common = sorted(values.keys() & others.keys())
    return np.array([values[seed] - others[seed] for seed in common], dtype=float)


def t_interval(
    numbers: Sequence[float] | Floats, confidence: float = CONFIDENCE
) -> Interval | None:
    """Student-t interval of the mean; None for fewer than two numbers."""
    n = len(numbers)
    if n < 2:
        return None
    mean, half = float(np.mean(numbers)), half_width(numbers, confidence)
    return Interval(mean - half, mean + half, "t")


def half_width(numbers: Sequence[float] | Floats, confidence: float) -> float:
    """Half the length of the Student-t interval of the mean of two numbers or more."""
    return t_half_width(float(np.std(numbers, ddof=1)), len(numbers), confidence)


def t_half_width(spread: float, n: int, confidence: float) -> float:
    """Half the length of a Student-t interval, from the standard deviation."""
    return _t_quantile(confidence, n - 1) * spread / math.sqrt(n)


@cache  # an equivalence claim about 200 arms asks 40,000 times
def _t_quantile(confidence: float, freedom: int) -> float:
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))


def equivalence_p(
    differences: Sequence[float] | Floats,
    margin: float,
    generator: np.random.Generator | None = None,
) -> float | None:
    """The largest p of the one-sided tests against ``margin`` and ``-margin``.

    Each margin is tested twice, by a t and by an exact sign-flip test. The t test alone
    would decide on two equal differences, and scores come in steps: with 2 seeds it was
    wrong in up to 12 % of cases. The exact one is below 0.05 from 5 pairs on.

    Args:
        differences: One per seed.
        margin: Largest difference that counts as alike.
        generator: Draws sign patterns above 20 pairs.
    """
    numbers = np.asarray(differences, dtype=float)
    if len(numbers) < 2:
        return None
    sides = (margin - numbers, margin + numbers)
    by_flips = [_share_of_patterns(side, generator) for side in sides]
    return max(equivalence_t_p(numbers, margin), *by_flips)


def equivalence_t_p(numbers: Floats, margin: float) -> float:
    """The larger p of the two one-sided t tests alone, of two numbers or more."""
    mean, spread = float(numbers.mean()), float(numbers.std(ddof=1))
    room = margin - abs(mean)
    if spread == 0.0:
        return 0.0 if room > 0 else 1.0
    statistic = room / (spread / math.sqrt(len(numbers)))
    return float(special.stdtr(len(numbers) - 1, -statistic))


def bootstrap_interval(
    numbers: Sequence[float] | Floats,
    generator: np.random.Generator,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Bootstrap interval of the mean; None for fewer than two numbers.

    Too short with few seeds (see the module): to stand beside a t interval, not in its
    place. Numbers that are equal but for rounding give an interval without length.
    """
    data = np.asarray(numbers, dtype=float)
    if len(data) < 2:
        return None
    # BCa divides by the third power of the spread: rounding errors are none.
    if np.ptp(data) <= max(1e-12 * float(np.abs(data).max()), 1 / LARGEST):
        return Interval(float(data.min()), float(data.max()), "percentile")
    use_bca = len(data) >= BCA_FROM
    interval = stats.bootstrap(
        (data,),
        np.mean,
        confidence_level=confidence,
        n_resamples=min(NUM_RESAMPLES, MAX_DRAWN // len(data)),
        method="BCa" if use_bca else "percentile",
        vectorized=True,
        rng=generator,
    ).confidence_interval
    return Interval(
        float(interval.low), float(interval.high), "BCa" if use_bca else "percentile"
    )


def sign_flip_p(
    differences: Sequence[float] | Floats, generator: np.random.Generator | None = None
) -> float | None:
    """Two-sided p of the mean of paired differences when their signs are arbitrary.

    Exact up to 20 pairs: the share of all sign patterns with a mean at least as far
    from zero. Above, the share among random patterns and the observed one.

    Args:
        differences: One per seed.
        generator: Draws the patterns above 20 pairs.

    Returns:
        None without differences.
    """
    numbers = np.asarray(differences, dtype=float)
    if len(numbers) == 0:
        return None
    # The patterns are symmetric, so both tails are twice the observed one.
    observed = numbers if numbers.sum() > 0 else -numbers
    return min(1.0, 2.0 * _share_of_patterns(observed, generator))


def _share_of_patterns(numbers: Floats, generator: np.random.Generator | None) -> float:
    """The share of sign patterns whose sum is at least as large as that of all plus.

    This is the one-sided sign-flip p against means above zero.
    """
    # Patterns that tie with the observed one count in spite of rounding.
    limit = float(numbers.sum()) - 1e-12 * float(np.abs(numbers).sum())
    if len(numbers) <= EXACT_UP_TO:
        return _exact_share(numbers, limit)
    if generator is None:
        raise ValueError(f"more than {EXACT_UP_TO} differences need a generator")
    hits, left = 0, NUM_RESAMPLES
    while left > 0:
        rows = min(left, max(1, SIGN_BLOCK // len(numbers)))
        signs = generator.integers(0, 2, (rows, len(numbers)), dtype=np.int8)
        # A sign of ±1 is 2 s - 1: the numbers are summed where s is 1.
        hits += int(np.sum(2.0 * (signs @ numbers) - numbers.sum() >= limit))
        left -= rows
    return (1 + hits) / (1 + NUM_RESAMPLES)


def _exact_share(numbers: Floats, limit: float) -> float:
    """The share of all sign patterns whose sum reaches a limit.

    Meets in the middle: 20 numbers have a million patterns, their halves a thousand.
    """
    half = len(numbers) // 2
    left, right = _signed_sums(numbers[:half]), np.sort(_signed_sums(numbers[half:]))
    reached = len(right) - np.searchsorted(right, limit - left)
    return float(reached.sum()) / (len(left) * len(right))


def _signed_sums(numbers: Floats) -> Floats:
    """The sums under every sign pattern."""
    sums = np.zeros(1)
    for number in numbers:
        sums = np.concatenate([sums + number, sums - number])
    return sums


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p, in the given order."""
    count = len(p_values)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def share_interval(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Clopper and Pearson's interval of a share."""
    test: Any = stats.binomtest(successes, n)
    ends = test.proportion_ci(confidence, method="exact")
    return Interval(float(ends.low), float(ends.high), "exact")


def share_p(successes: int, n: int) -> float:
    """Exact two-sided binomial p against one half."""
    return float(stats.binomtest(successes, n, 0.5).pvalue)
