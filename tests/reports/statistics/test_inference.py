from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from reports.statistics import inference
from reports.statistics.inference import (
    MIN_PAIRS,
    Floats,
    Interval,
    bootstrap_interval,
    equivalence_p,
    equivalence_t_p,
    holm,
    paired_differences,
    share_interval,
    share_p,
    sign_flip_p,
    t_interval,
)
from reports.statistics.planning import fewest_pairs, seeds_to_exclude


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_differences_are_by_seed_over_the_seeds_both_have():
    ours = paired_differences({2: 5.0, 0: 1.0, 7: 9.0}, {0: 4.0, 2: 1.0, 3: 0.0})
    assert ours.tolist() == [-3.0, 4.0]


@pytest.mark.parametrize("n", [2, 3, 6, 10, 14])
def test_sign_flip_is_scipys_exact_permutation_test(n: int):
    numbers = generator(n).normal(0.7, 1.0, n)
    theirs = stats.permutation_test(
        (numbers,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(numbers) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_sign_flip_counts_ties_and_all_patterns():
    # By hand: of the 8 patterns of 1, 1, 2 those with |sum| >= 4 are +++ and ---.
    assert sign_flip_p([1.0, 1.0, 2.0]) == 0.25
    assert sign_flip_p([0.1, 0.2, -0.3]) == 1.0
    assert sign_flip_p([0.0, 0.0]) == 1.0
    assert sign_flip_p([]) is None


@pytest.mark.parametrize("n", range(1, 9))
def test_the_smallest_sign_flip_p_is_two_over_two_to_the_n(n: int):
    assert sign_flip_p(np.ones(n)) == pytest.approx(2 / 2**n if n > 1 else 1.0)


def test_many_pairs_are_sampled_with_the_given_generator():
    numbers = generator(3).normal(0.35, 1.0, 24)
    with pytest.raises(ValueError, match="more than 20 differences need a generator"):
        sign_flip_p(numbers)
    p = sign_flip_p(numbers, generator(1))
    assert p == sign_flip_p(numbers, generator(1))
    exact = stats.permutation_test(
        (numbers,),
        np.mean,
        permutation_type="samples",
        n_resamples=99_999,
        rng=generator(2),
    )
    assert p == pytest.approx(exact.pvalue, abs=0.015)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_holm_is_statsmodels_holm(count: int):
    # statsmodels takes 0.2 s a call: few cases, ties and ones among them.
    p_values = [*generator(count).choice([0.01, 0.04, 0.2, 1.0, 0.003], count)]
    theirs = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(theirs.tolist())


def test_equivalence_by_t_is_statsmodels_two_one_sided_tests():
    numbers = generator(5).normal(0.2, 1.0, 8)
    margin = 1.1
    theirs = DescrStatsW(numbers).ttost_mean(-margin, margin)[0]
    assert equivalence_t_p(numbers, margin) == pytest.approx(theirs)
    interval = t_interval(numbers, 0.9)  # Schuirmann 1987
    inside = -margin < interval.low and interval.high < margin
    assert inside == (theirs < 0.05)
    assert equivalence_p([0.5], 1.0) is None


@pytest.mark.parametrize("n", [2, 3, 5, 6, 11])
@pytest.mark.parametrize("step", [1e-9, 0.28, 1.0])
def test_equivalence_needs_the_exact_tests_against_both_margins_too(n, step):
    numbers = np.round(generator(n).normal(0.3, 0.5, n) / step) * step
    exact = [
        stats.permutation_test(
            (side,),
            np.mean,
            permutation_type="samples",
            alternative="greater",
            n_resamples=np.inf,
        ).pvalue
        for side in (1.0 - numbers, 1.0 + numbers)
    ]
    wanted = max(equivalence_t_p(numbers, 1.0), *exact)
    assert equivalence_p(numbers, 1.0) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("n", range(2, 9))
def test_equal_differences_are_no_more_evidence_than_their_number(n: int):
    assert equivalence_p([0.5] * n, 1.0) == 1 / 2**n
    assert equivalence_p([1.0] * n, 1.0) == 1.0
    assert equivalence_p([0.0] * n, 1e-9) == 1 / 2**n


def test_share_interval_and_its_test_agree():
    for n, k in itertools.product((5, 6, 12), range(6)):
        interval, p = share_interval(k, n), share_p(k, n)
        assert (interval.high < 0.5 or interval.low > 0.5) == (p < 0.05), (n, k)
    assert share_p(6, 6) == pytest.approx(2 / 2**6)


def test_bootstrap_is_reproducible_and_says_its_method():
    few, more = generator().normal(size=3), generator().normal(size=5)
    assert bootstrap_interval(few, generator()).method == "percentile"
    assert bootstrap_interval(more, generator()).method == "BCa"
    assert bootstrap_interval(more, generator()) == bootstrap_interval(
        more, generator()
    )
    assert bootstrap_interval([1.0], generator()) is None
    flat = bootstrap_interval([2.0, 2.0, 2.0], generator())
    assert (flat.low, flat.high) == (2.0, 2.0)


# Of nominal 95 % intervals of a normal mean: seeds, t, percentile, BCa.
COVERAGE = [(3, 0.95, 0.75, 0.73), (5, 0.95, 0.84, 0.84), (10, 0.95, 0.91, 0.90)]


@pytest.mark.parametrize(("n", "by_t", "by_percentile", "by_bca"), COVERAGE)
def test_coverage_is_what_the_module_says(n, by_t, by_percentile, by_bca, monkeypatch):
    monkeypatch.setattr(inference, "NUM_RESAMPLES", 999)
    samples = generator(n).normal(size=(400, n))

    def covered(interval: Callable[[Floats], Interval | None]) -> float:
        return float(np.mean([i.low <= 0 <= i.high for i in map(interval, samples)]))

    def by_bootstrap(sample: Floats) -> Interval | None:
        return bootstrap_interval(sample, generator(1))

    assert covered(t_interval) == pytest.approx(by_t, abs=0.03)
    for bca_from, wanted in ((n + 1, by_percentile), (n, by_bca)):
        monkeypatch.setattr(inference, "BCA_FROM", bca_from)
        assert covered(by_bootstrap) == pytest.approx(wanted, abs=0.05), bca_from


def test_the_fewest_pairs_are_those_with_a_small_enough_p():
    assert fewest_pairs() == MIN_PAIRS == 6
    for tried in (1, 2, 3, 4, 7, 11):
        n = fewest_pairs(tried)
        assert tried * 2 / 2**n < 0.05 <= tried * 2 / 2 ** (n - 1)
        assert seeds_to_exclude(5.0, 0.0, tried=tried) == n


def test_planned_seeds_are_the_fewest_that_do():
    for distance, spread in ((0.5, 1.0), (0.1, 1.0), (2.0, 0.3)):
        n = seeds_to_exclude(distance, spread)

        def half(n: int, spread: float = spread) -> float:
            return stats.t.ppf(0.975, n - 1) * spread / math.sqrt(n)

        assert half(n) < distance
        assert n == 6 or half(n - 1) >= distance
    assert seeds_to_exclude(1.2, 1.0, tried=0) == 6  # by the interval alone
    assert seeds_to_exclude(5.0, 0.0, tried=0.5) == 5 == fewest_pairs(sides=1)
    assert seeds_to_exclude(1.2, 1.0) == 7  # with 6, one sign differs: p = 4 / 64
    assert seeds_to_exclude(5.0, 0.0) == 6
    assert seeds_to_exclude(0.0, 1.0) is None
    assert seeds_to_exclude(0.001, 1.0) is None
