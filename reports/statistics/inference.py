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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
ALPHA = 0.05
"""What a p must stay below."""
NUM_RESAMPLES = 9_999
EXACT_UP_TO = 20
"""Pairs up to which every one of the ``2**n`` sign flips is tried."""
BCA_FROM = 5
"""Seeds from which the bootstrap interval is bias-corrected and accelerated."""
MIN_PAIRS = 6
"""Fewest pairs with which a two-sided sign-flip p can be below 0.05: 2 / 2**6."""
MAX_SEEDS = 1_000
"""Where planning ends."""

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
    n = len(numbers)
    quantile = float(stats.t.ppf(0.5 + confidence / 2, n - 1))
    return quantile * float(np.std(numbers, ddof=1)) / math.sqrt(n)


def equivalence_interval(
    differences: Sequence[float] | Floats, alpha: float = 0.05
) -> Interval | None:
    """The ``1 - 2 alpha`` t interval of the mean.

    It lies inside a margin exactly when both one-sided t tests against the margin are
    significant at ``alpha`` (Schuirmann 1987).
    """
    return t_interval(differences, 1.0 - 2.0 * alpha)


def equivalence_p(differences: Sequence[float] | Floats, margin: float) -> float | None:
    """The larger p of the two one-sided t tests against ``±margin``."""
    numbers = np.asarray(differences, dtype=float)
    if len(numbers) < 2:
        return None
    mean, spread = float(numbers.mean()), float(numbers.std(ddof=1))
    room = margin - abs(mean)
    if spread == 0.0:
        return 0.0 if room > 0 else 1.0
    statistic = room / (spread / math.sqrt(len(numbers)))
    return float(stats.t.sf(statistic, len(numbers) - 1))


def bootstrap_interval(
    numbers: Sequence[float] | Floats,
    generator: np.random.Generator,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Bootstrap interval of the mean; None for fewer than two numbers.

    Too short with few seeds (see the module): to stand beside a t interval, not in its
    place. Equal numbers give an interval without length.
    """
    data = np.asarray(numbers, dtype=float)
    if len(data) < 2:
        return None
    if np.ptp(data) == 0.0:
        return Interval(float(data[0]), float(data[0]), "percentile")
    use_bca = len(data) >= BCA_FROM
    found = stats.bootstrap(
        (data,),
        np.mean,
        confidence_level=confidence,
        n_resamples=NUM_RESAMPLES,
        method="BCa" if use_bca else "percentile",
        vectorized=True,
        rng=generator,
    ).confidence_interval
    return Interval(
        float(found.low), float(found.high), "BCa" if use_bca else "percentile"
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
    observed = abs(float(numbers.sum()))
    # Patterns that tie with the observed one count in spite of rounding.
    limit = observed - 1e-12 * float(np.abs(numbers).sum())
    if len(numbers) <= EXACT_UP_TO:
        sums = np.abs(_signed_sums(numbers))
        return float(np.mean(sums >= limit))
    if generator is None:
        raise ValueError(f"more than {EXACT_UP_TO} differences need a generator")
    size = (NUM_RESAMPLES, len(numbers))
    signs = generator.integers(0, 2, size=size, dtype=np.int8) * 2 - 1
    hits = int(np.sum(np.abs(signs @ numbers) >= limit))
    return (1 + hits) / (1 + NUM_RESAMPLES)


def _signed_sums(numbers: Floats) -> Floats:
    """The sums under every sign pattern, up to a sign common to all."""
    sums = numbers[:1]
    for number in numbers[1:]:
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


def share_interval(successes: int, n: int) -> Interval:
    """Clopper and Pearson's 95 % interval of a share."""
    test: Any = stats.binomtest(successes, n)
    found = test.proportion_ci(CONFIDENCE, method="exact")
    return Interval(float(found.low), float(found.high), "exact")


def share_p(successes: int, n: int) -> float:
    """Exact two-sided binomial p against one half."""
    return float(stats.binomtest(successes, n, 0.5).pvalue)


def fewest_pairs(tried: int = 1) -> int:
    """Pairs from which a sign-flip p below 0.05 exists when so many arms are tried.

    The smallest p is ``2 / 2**pairs``; Holm's correction multiplies it by ``tried``.
    """
    return math.floor(math.log2(2 * tried / ALPHA)) + 1


def seeds_to_exclude(
    distance: float,
    spread: float,
    confidence: float = CONFIDENCE,
    *,
    tried: int = 1,
) -> int | None:
    """Fewest seeds whose t interval and sign-flip p would stay clear of a value.

    If mean and spread stay what they are, which they do half of the time: no power
    calculation, but the least that makes sense. The p is that of normal scores; above
    20 pairs it asks for no more than the interval does.

    Args:
        distance: From the mean to that value.
        spread: Standard deviation of the paired differences.
        confidence: Of the interval.
        tried: What the p is multiplied by; 0 for verdicts that look at no sign-flip p.

    Returns:
        None when 1,000 do not do.
    """
    seeds = np.arange(2, MAX_SEEDS)
    halves = stats.t.ppf(0.5 + confidence / 2, seeds - 1) * spread / np.sqrt(seeds)
    for n in seeds[halves < distance].tolist():
        if tried == 0 or n > EXACT_UP_TO:
            return int(n)
        p = sign_flip_p(distance + spread * _normal_scores(n))
        if p is not None and tried * p < ALPHA:
            return int(n)
    return None


def _normal_scores(n: int) -> Floats:
    """Numbers spread like a normal sample, of mean 0 and standard deviation 1."""
    scores = np.asarray(stats.norm.ppf((np.arange(n) + 0.5) / n), dtype=float)
    return scores / float(scores.std(ddof=1))
