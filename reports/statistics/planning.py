"""Seeds that a verdict needs: the fewest at all, and by effect and spread."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy import special

from reports.statistics.inference import (
    ALPHA,
    CONFIDENCE,
    EXACT_UP_TO,
    Floats,
    sign_flip_p,
)

MAX_SEEDS = 1_000
"""Largest number of seeds that is planned with."""


def fewest_pairs(tried: int = 1, *, sides: int = 2, alpha: float = ALPHA) -> int:
    """Pairs from which a small enough sign-flip p exists when so many arms are tried.

    The smallest p is ``sides / 2**pairs``; Holm's correction multiplies it by
    ``tried``.
    """
    return math.floor(math.log2(sides * tried / alpha)) + 1


def seeds_to_exclude(
    distance: float,
    spread: float,
    confidence: float = CONFIDENCE,
    *,
    tried: float = 1,
    alpha: float = ALPHA,
) -> int | None:
    """Fewest seeds whose t interval and sign-flip p would stay clear of a value.

    If mean and spread stay what they are, which they do half of the time: no power
    calculation, but the least that makes sense. The p is that of normal scores; above
    20 pairs it asks for no more than the interval does.

    Args:
        distance: From the mean to that value.
        spread: Standard deviation of the paired differences.
        confidence: That of the interval.
        tried: Factor of the two-sided p: the number of arms tried, or one
            half for a one-sided p.
        alpha: What that p must stay below.

    Returns:
        None when 1,000 do not do.
    """
    halves = _halves(confidence) * spread
    for n in (2 + np.flatnonzero(halves < distance)).tolist():
        if n > EXACT_UP_TO:
            return int(n)
        p = sign_flip_p(distance + spread * _normal_scores(n))
        if p is not None and tried * p < alpha:
            return int(n)
    return None


@cache
def _halves(confidence: float) -> Floats:
    """Half lengths of the t intervals of a unit spread, from 2 seeds to 1,000."""
    seeds = np.arange(2, MAX_SEEDS)
    quantiles = special.stdtrit(seeds - 1, 0.5 + confidence / 2)
    return np.asarray(quantiles / np.sqrt(seeds), dtype=float)


@cache
def _normal_scores(n: int) -> Floats:
    """Numbers spread like a normal sample, of mean 0 and standard deviation 1."""
    scores = np.asarray(special.ndtri((np.arange(n) + 0.5) / n), dtype=float)
    return scores / float(scores.std(ddof=1))
