from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports import ranks
from reports.ranks import (
    best_arm,
    kendall_tau_b,
    rank_correlation,
    seeds_to_order,
)

Rows = st.lists(st.integers(0, 4), min_size=2, max_size=8)


@given(Rows, st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_tau_b_is_scipys_ties_included(row: list[int], random):
    reference = [random.randint(0, 4) for _ in row]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = stats.kendalltau(row, reference).statistic
    ours = kendall_tau_b(np.array([row], dtype=float), reference)[0]
    assert ours == pytest.approx(theirs, nan_ok=True)


def curve(slopes: list[float], seeds: int, spread: float, seed: int = 0):
    noise = np.random.default_rng(seed).normal(0.0, spread, (len(slopes), seeds))
    return {
        f"K={i}": {s: slope + noise[i, s] for s in range(seeds)}
        for i, slope in enumerate(slopes)
    }


def correlate(values, reference, seed: int = 0):
    return rank_correlation(values, reference, np.random.default_rng(seed))


PAPER = {f"K={i}": float(i) for i in range(6)}


def test_a_clear_order_has_a_short_interval_and_a_small_p():
    found = correlate(curve([0, 1, 2, 3, 4, 5], 5, 0.05), PAPER)
    assert (found.tau, found.n, found.num_arms) == (1.0, 5, 6)
    assert (found.interval.low, found.interval.high) == (1.0, 1.0)
    assert found.p == pytest.approx(1 / 2_000)
    turned = correlate(curve([5, 4, 3, 2, 1, 0], 5, 0.05), PAPER)
    assert turned.tau == -1.0


def test_noise_has_a_long_interval_and_a_large_p():
    found = correlate(curve([0.0] * 6, 5, 1.0), PAPER)
    assert found.interval.low <= 0.0 <= found.interval.high
    assert found.p > 0.05


def test_the_planner_draws_more_seeds_from_the_measured_ones():
    found = correlate(curve([0.0, 0.4, 0.8, 1.2], 4, 1.0, seed=3), PAPER)
    assert found.interval.low <= 0.0
    needed = seeds_to_order(found, np.random.default_rng(0))
    assert 6 <= needed < 200
    flat = correlate(
        {"a": {0: 0.0, 1: 1.0}, "b": {0: 1.0, 1: 0.0}, "c": {0: 2.0, 1: 2.0}},
        {"a": 0.0, "b": 1.0, "c": 0.5},
    )
    assert seeds_to_order(flat, np.random.default_rng(0)) is None


def test_only_common_seeds_and_arms_count():
    values = curve([0, 1, 2], 4, 0.1)
    del values["K=1"][3]
    found = correlate({**values, "extra": {0: 1.0}}, PAPER)
    assert (found.n, found.num_arms) == (3, 3)
    assert correlate({"K=0": {0: 1.0}}, PAPER) is None
    assert correlate({"K=0": {0: 1.0}, "K=1": {1: 1.0}}, PAPER) is None
    assert correlate({"K=0": {0: 1.0}, "K=1": {0: 1.0}}, PAPER) is None
    single = correlate({"K=0": {0: 1.0}, "K=1": {0: 2.0}}, PAPER)
    assert (single.tau, single.interval, single.p) == (1.0, None, None)


def test_blocks_change_memory_and_not_the_meaning(monkeypatch):
    values = curve([0, 1, 0.5, 2], 6, 1.0)
    whole = correlate(values, PAPER)
    monkeypatch.setattr(ranks, "BLOCK", 500)
    blocks = correlate(values, PAPER)
    assert blocks.p == pytest.approx(whole.p, abs=0.03)
    assert blocks.interval.low == pytest.approx(whole.interval.low, abs=0.35)


def test_best_arms_are_compared_where_both_have_numbers():
    values = {"K=1": {0: 60.0, 1: 61.0}, "K=2": {0: 62.0, 1: 64.0}, "K=3": {0: 61.5}}
    paper = {"K=1": 83.0, "K=2": 83.5, "K=3": 84.0, "K=9": 99.0}
    found = best_arm(values, paper)
    assert (found.ours, found.theirs, found.distance) == ("K=2", "K=3", 1)
    assert found.difference.tolist() == [0.5]
    assert found.is_close is None
    same = best_arm(values, {"K=1": 1.0, "K=2": 2.0})
    assert (same.ours, same.distance, same.is_close) == ("K=2", 0, True)
    assert best_arm({"K=1": {0: 1.0}}, paper) is None


def test_a_best_arm_within_noise_is_close():
    values = {"a": {0: 1.0, 1: 3.0, 2: 2.0}, "b": {0: 2.0, 1: 1.0, 2: 2.5}}
    found = best_arm(values, {"a": 1.0, "b": 2.0})
    assert (found.ours, found.theirs) == ("a", "b")
    assert found.is_close is True
    assert not math.isnan(found.difference.mean())
