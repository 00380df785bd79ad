from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ablations.study.claims import Claim
from reports.claims.collapse_rule import collapses
from reports.claims.evidence import NOT_REACHABLE, Evidence
from reports.claims.view import effect_text
from reports.statistics import ranks
from reports.statistics.best_arm import best_arm
from reports.statistics.ranks import (
    kendall_tau_b,
    order_of,
    rank_correlation,
    seeds_to_order,
)
from tests.reports.claims.test_verdicts import (
    ABOVE,
    ACCURACY,
    BELOW,
    ERROR,
    judge,
    result_of,
)
from tests.reports.stores import make_manifest

Rows = st.lists(st.integers(0, 4), min_size=2, max_size=8)


@given(Rows, st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_tau_b_is_scipys_ties_included(row: list[int], random):
    reference = [random.randint(0, 4) for _ in row]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = stats.kendalltau(row, reference).statistic
    ours = kendall_tau_b(np.array([row], dtype=float), order_of(reference))[0]
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


def test_the_planner_asks_for_the_p_that_the_verdict_needs():
    # One large difference orders the means; seed by seed there is hardly an order.
    rising, falling = [0.0, 1.0, 2.0, 3.0], [3.0, 1.0, 2.0, 0.0]
    rows = [[9 * v for v in rising]] * 2 + [rising] + [falling] * 3
    values = {f"K={i}": dict(enumerate(v)) for i, v in enumerate(np.transpose(rows))}
    found = correlate(values, PAPER)
    needed = seeds_to_order(found, np.random.default_rng(0))
    assert (found.tau, found.p > 0.4, needed > 24) == (1.0, True, True)

    def p(times: int) -> float:
        tiled = {
            arm: dict(enumerate(list(by_seed.values()) * times))
            for arm, by_seed in values.items()
        }
        return correlate(tiled, PAPER).p

    assert p(4) > 0.05 > p(-(-needed // found.n) + 1)


# Arms this far apart, in standard deviations of a seed, the paper's order, seeds, and
# how often the 95 % interval holds the true tau.
COVERAGE = [
    (0.5, [0, 3, 1, 2], 3, 0.89),
    (0.5, [0, 3, 1, 2], 10, 1.0),
    (0.25, [1, 0, 2, 4, 3, 5, 7, 6], 3, 0.3),
    (0.25, [1, 0, 2, 4, 3, 5, 7, 6], 10, 0.85),
]


@pytest.mark.parametrize(("step", "paper", "seeds", "wanted"), COVERAGE)
def test_coverage_is_what_the_module_says(step, paper, seeds, wanted, monkeypatch):
    monkeypatch.setattr(ranks, "NUM_RANK_RESAMPLES", 499)
    truth = stats.kendalltau(range(len(paper)), paper).statistic
    generator = np.random.default_rng(seeds)
    covered = 0
    for _ in range(200):
        noise = generator.normal(size=(len(paper), seeds))
        values = {i: dict(enumerate(step * i + row)) for i, row in enumerate(noise)}
        interval = rank_correlation(values, dict(enumerate(paper)), generator).interval
        covered += interval.low - 1e-9 <= truth <= interval.high + 1e-9
    assert covered / 200 == pytest.approx(wanted, abs=0.08)


def test_values_within_twice_the_reading_error_are_tied():
    assert order_of([83.64, 83.66, 83.71], 0.02).tolist() == [0.0, -1.0, -1.0]
    assert order_of([83.62, 83.66], 0.02).tolist() == [0.0]  # exactly 2 x 0.02 apart
    assert order_of([83.62, 83.66]).tolist() == [-1.0]
    # Not every tie is passed on: 0 and 3 are told apart, 2 from neither.
    assert order_of([0.0, 2.0, 3.0], 1.0).tolist() == [0.0, -1.0, 0.0]
    values = {"a": {0: 1.0}, "b": {0: 2.0}, "c": {0: 3.0}}
    paper = {"a": 0.0, "b": 2.5, "c": 2.4}
    exact, read = correlate(values, paper), None
    assert exact.tau == pytest.approx(1 / 3)
    read = rank_correlation(values, paper, np.random.default_rng(0), 0.1)
    assert read.tau == pytest.approx(2 / 6**0.5)


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
    tied = best_arm(values, paper, 0.25)
    assert (tied.ours, tied.theirs) == ("K=2", "K=2")


def test_a_best_arm_within_noise_is_close():
    values = {"a": {0: 1.0, 1: 3.0, 2: 2.0}, "b": {0: 2.0, 1: 1.0, 2: 2.5}}
    found = best_arm(values, {"a": 1.0, "b": 2.0})
    assert (found.ours, found.theirs) == ("a", "b")
    assert found.is_close is True
    assert not math.isnan(found.difference.mean())


def rising(step: float, seeds: int = 5, arms: int = 4, noise: float = 0.1):
    values = np.random.default_rng(4).normal(0.0, noise, (arms, seeds))
    return {f"K={k + 1}": [60.0 + step * k + v for v in values[k]] for k in range(arms)}


def test_a_trend_has_a_direction():
    rises, falls = ({"kind": "trend", "direction": d} for d in ("rises", "falls"))
    assert judge(rises, rising(1.0)).verdict == "supported"
    assert judge(falls, rising(1.0)).verdict == "contradicted"
    assert judge(falls, rising(-1.0)).verdict == "supported"
    assert judge(rises, rising(1.0), ERROR).verdict == "contradicted"
    assert judge(rises, rising(0.0)).verdict == "undecided"
    chosen = {**rises, "arms": ["K=4", "K=3", "K=1"]}
    assert judge(chosen, rising(1.0)).verdict == "contradicted"


def test_a_trend_without_all_arms_is_undecided():
    arms = {**rising(1.0), "K=2": ["collapsed"] * 5}
    found = judge({"kind": "trend"}, arms)
    assert (found.verdict, found.reason) == (
        "undecided",
        "K=2 collapsed in 5 of 5 seeds.",
    )
    two = judge({"kind": "trend"}, {"a": ABOVE, "b": BELOW})
    assert two.reason == "an order needs 3 arms, there are 2."
    single = judge({"kind": "trend"}, rising(1.0, seeds=1))
    assert (single.effect, single.verdict) == (1.0, "undecided")


def test_like_paper_compares_orders_and_knows_both_directions():
    # Figure 2 beside K=1..4 of 4 layers: 83.01, 83.79, 83.64, 83.66 (by stores.py),
    # each ±0.02: the last two may be in either order.
    noise = np.random.default_rng(1).normal(0.0, 0.05, (4, 5))
    order = {"K=1": 0.0, "K=2": 3.0, "K=3": 1.0, "K=4": 2.0}
    arms = {
        label: [60.0 + step + v for v in noise[i]]
        for i, (label, step) in enumerate(order.items())
    }
    rule = {"kind": "like_paper"}
    assert judge(rule, arms).verdict == "supported"
    assert judge(rule, arms, ERROR).verdict == "contradicted"
    manifest = make_manifest("lower")
    published = {**manifest.study["published"]["vision"], "higher_is_better": False}
    study = {**manifest.study, "published": {"vision": published}}
    lower = manifest.model_copy(update={"study": study})
    assert judge(rule, arms, ERROR, lower).verdict == "supported"
    swapped = {**arms, "K=3": arms["K=4"], "K=4": arms["K=3"]}
    found, other = judge(rule, arms), judge(rule, swapped)
    assert found.effect == other.effect == pytest.approx(5 / 30**0.5)
    assert found.reason.endswith(" The paper's values up to 0.04 apart are tied.")
    unpublished = make_manifest("none", published=False)
    assert judge(rule, arms, ACCURACY, unpublished).reason == (
        "an order needs 3 arms, there are 0."
    )


def test_collapse_is_counted():
    rule = {"kind": "collapses", "arm": "a"}
    dead = {"a": ["collapsed"] * 6}
    found = judge(rule, dead)
    assert (found.verdict, found.effect, found.n) == ("supported", 1.0, 6)
    assert judge({**rule, "never": True}, dead).verdict == "contradicted"
    assert judge(rule, {"a": ABOVE}).verdict == "contradicted"
    few = judge(rule, {"a": ["collapsed"] * 3 + ["failed"]})
    assert (few.verdict, few.seeds_needed) == ("undecided", 6)
    assert "6 seeds are the fewest" in few.reason
    assert "Left out: 1 seed without a result." in few.reason
    half = judge(rule, {"a": ["collapsed"] * 3 + [60.0] * 3})
    assert half.seeds_needed == NOT_REACHABLE
    assert judge(rule, {"a": ["missing"]}).reason == "a has no finished trial."
    assert effect_text(found) == "1.00 [0.54, 1.00]"  # a share has no sign


def with_ranks(arms, ranks):
    """The result of the arms, with RankMe of each seed."""
    result = result_of(arms)
    return replace(
        result,
        arms=tuple(
            replace(
                arm,
                seeds=tuple(
                    replace(seed, rank=rank)
                    for seed, rank in zip(arm.seeds, ranks[arm.label], strict=True)
                ),
            )
            for arm in result.arms
        ),
    )


def test_a_score_below_the_untrained_encoders_is_a_collapse():
    rule = {"kind": "collapses", "arm": "a", "than": "untrained"}
    dead = judge(rule, {"a": BELOW, "untrained": ABOVE})
    assert (dead.verdict, dead.effect, dead.n) == ("supported", 1.0, 6)
    assert dead.reason == (
        "a collapsed in 6 of 6 seeds (by the reference's rule 0; worse than untrained "
        "6); exact binomial test against one half."
    )
    alive = judge({**rule, "never": True}, {"a": ABOVE, "untrained": BELOW})
    assert alive.verdict == "supported"
    lower_is_better = judge(rule, {"a": BELOW, "untrained": ABOVE}, ERROR)
    assert lower_is_better.verdict == "contradicted"


def test_a_lost_rank_is_a_collapse():
    rule = {"kind": "collapses", "arm": "a", "rank_of": "b", "rank_share": 0.5}
    claim = Claim.model_validate({"id": "c", "says": "So.", "test": rule})
    ranks = {"a": [4.9, 5.1, 4.0, 4.0, 4.0, None, 1.0], "b": [10.0] * 7}
    arms = {"a": [*ABOVE[:6], "collapsed"], "b": [60.0] * 7}
    result = with_ranks(arms, ranks)
    finding = collapses(claim.test, Evidence(result, make_manifest("judged")))
    # Seed 5 has no rank, so nobody can say; the last was stopped by the reference.
    assert (finding.effect, finding.n) == (5 / 6, 6)
    assert "(by the reference's rule 1; RankMe below 0.5 of that of b 5)" in (
        finding.reason
    )
    assert "Left out: 1 seed" in finding.reason


@pytest.mark.parametrize(("dead", "n"), [(14, 19), (16, 22), (3, 4), (11, 20)])
def test_planned_shares_need_more_seeds_than_there_are(dead: int, n: int):
    rule = {"kind": "collapses", "arm": "a"}
    found = judge(rule, {"a": ["collapsed"] * dead + [60.0] * (n - dead)})
    needed = found.seeds_needed
    assert (found.verdict, needed > n) == ("undecided", True)
    dead = round(dead / n * needed)
    found = judge(rule, {"a": ["collapsed"] * dead + [60.0] * (needed - dead)})
    assert found.verdict == "supported"
