"""Verdicts on made-up numbers, and how often they are wrong on pure chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ablations.metrics import Metric
from ablations.record import Manifest
from reports.evidence import NOT_REACHABLE
from reports.inference import equivalence_p, sign_flip_p
from reports.statistics import ArmResult, SeedResult, StudyResult
from reports.verdicts import Verdict, study_verdicts
from tests.reports.stores import make_manifest

Cell = float | str
ACCURACY = Metric("linear_accuracy", "accuracy (%)", True)
ERROR = Metric("word_error_rate", "word error rate (%)", False)


def result_of(
    arms: Mapping[str, Sequence[Cell]], metric: Metric = ACCURACY
) -> StudyResult:
    """Arms by seed; text is a status, ``collapsed`` with a value all the same."""
    built = []
    for label, cells in arms.items():
        seeds = [
            SeedResult(
                seed,
                cell if isinstance(cell, str) else "finished",
                "",
                cell if not isinstance(cell, str) else 10.0 * (cell == "collapsed"),
            )
            for seed, cell in enumerate(cells)
        ]
        seeds = [
            SeedResult(s.seed, s.status, "", None)
            if s.status not in ("finished", "collapsed")
            else s
            for s in seeds
        ]
        is_reference = label in ("untrained", "supervised")
        built.append(ArmResult(label, is_reference, tuple(seeds), None, None, None))
    return StudyResult(metric, None, None, tuple(built))


def judge(
    rule: Mapping[str, Any],
    arms: Mapping[str, Sequence[Cell]],
    metric: Metric = ACCURACY,
    manifest: Manifest | None = None,
) -> Verdict:
    claim = {"id": "claim", "says": "So it is.", "where": "§1", "test": dict(rule)}
    manifest = manifest or make_manifest("judged", ks=(1, 2, 3, 4))
    study = {**manifest.study, "claims": [claim]}
    manifest = manifest.model_copy(update={"study": study})
    return study_verdicts(result_of(arms, metric), manifest)[0]


BETTER = {"kind": "better", "arm": "a", "than": "b"}
ABOVE = [61.0, 62.1, 60.9, 61.5, 62.0, 61.2]
BELOW = [60.0, 60.8, 60.1, 60.4, 60.9, 60.3]


def test_a_clear_difference_is_supported_and_its_reverse_contradicted():
    found = judge(BETTER, {"a": ABOVE, "b": BELOW})
    differences = np.subtract(ABOVE, BELOW)
    interval = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert found.verdict == "supported"
    assert found.effect == pytest.approx(differences.mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.n, found.p) == (6, pytest.approx(2 / 64))
    assert found.seeds_needed is None
    assert found.reason == (
        "a minus b against 0: +1.03 [+0.85, +1.22] (95 %), 6 pairs of seeds."
    )
    assert judge(BETTER, {"a": BELOW, "b": ABOVE}).verdict == "contradicted"


def test_where_lower_is_better_the_lower_arm_wins():
    found = judge(BETTER, {"a": BELOW, "b": ABOVE}, ERROR)
    assert (found.verdict, found.effect > 0) == ("supported", True)
    assert found.measure == "difference in word error rate (%)"


def test_a_margin_moves_the_border():
    arms = {"a": ABOVE, "b": BELOW}
    assert judge({**BETTER, "by": 0.5}, arms).verdict == "supported"
    assert judge({**BETTER, "by": 1.0}, arms).verdict == "undecided"
    assert judge({**BETTER, "by": 2.0}, arms).verdict == "contradicted"


def test_levels_do_not_matter_only_differences():
    arms = {"a": ABOVE, "b": BELOW}
    shifted = {label: [v - 50.0 for v in values] for label, values in arms.items()}
    one, other = judge(BETTER, arms), judge(BETTER, shifted)
    assert other.effect == pytest.approx(one.effect)
    assert (other.verdict, other.p) == (one.verdict, one.p)


def test_one_of_several_is_corrected_for_their_number():
    rule = {"kind": "better", "arm": None, "than": "b"}
    arms = {"b": BELOW, "a": ABOVE, "c": BELOW[::-1], "untrained": [0.0] * 6}
    found = judge(rule, arms)
    differences = np.subtract(ABOVE, BELOW)
    interval = stats.ttest_1samp(differences, 0.0).confidence_interval(1 - 0.05 / 2)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(2 * sign_flip_p(differences))
    assert "97.5 %, 2 arms tried" in found.reason
    assert found.reason.startswith("a minus b")


def test_contradicted_needs_every_arm_that_was_tried():
    rule = {"kind": "better", "arm": None, "than": "b"}
    low = [v - 5.0 for v in BELOW]
    noisy = [55.0, 66.0, 58.0, 63.0, 59.0, 62.0]
    assert judge(rule, {"b": ABOVE, "a": BELOW, "c": low}).verdict == "contradicted"
    assert judge(rule, {"b": ABOVE, "a": BELOW, "c": noisy}).verdict == "undecided"
    missing = {"b": ABOVE, "a": BELOW, "c": ["missing"] * 6}
    found = judge(rule, missing)
    assert (found.verdict, found.seeds_needed) == ("undecided", None)
    assert "Left out: c has no result (missing)." in found.reason


@pytest.mark.parametrize("status", ["collapsed", "diverged"])
def test_a_dead_trial_makes_its_arm_no_evidence(status: str):
    found = judge(BETTER, {"a": [*ABOVE[:5], status], "b": BELOW})
    assert (found.verdict, found.effect, found.n) == ("undecided", None, 0)
    assert found.reason == f"a {status} in 1 of 6 seeds."


def test_other_failures_only_make_the_sample_smaller():
    found = judge(BETTER, {"a": [*ABOVE[:4], "failed", "missing"], "b": BELOW})
    assert (found.verdict, found.n) == ("supported", 4)
    assert "No p below 0.05 exists with 4 pairs" in found.reason
    found = judge(BETTER, {"a": [61.0, "failed"], "b": [60.0, 60.0]})
    assert found.reason == "a and b have one common seed: no interval."
    assert judge(BETTER, {"a": ABOVE}).reason == "the study has no arm b."


def test_the_planner_says_how_many_seeds_would_settle_it():
    arms = {"a": [61.0, 59.5, 62.0], "b": [60.0, 60.0, 60.0]}
    found = judge(BETTER, arms)
    spread = np.std([1.0, -0.5, 2.0], ddof=1)
    n = found.seeds_needed
    assert found.verdict == "undecided"
    half = {k: stats.t.ppf(0.975, k - 1) * spread / np.sqrt(k) for k in (n - 1, n)}
    assert half[n] < found.effect <= half[n - 1]
    flat = {"a": [1.0, -1.0, 1e-6], "b": [0.0, 0.0, 0.0]}
    assert judge(BETTER, flat).seeds_needed == NOT_REACHABLE


NEARLY = {"kind": "nearly_best", "arm": "all", "within": 1.0}


def test_nearly_best_looks_at_the_arm_it_is_furthest_behind():
    arms = {"all": BELOW, "few": [v + 0.3 for v in BELOW[::-1]], "one": [40.0] * 6}
    found = judge(NEARLY, arms)
    assert found.reason.startswith("all minus few, the arm it is furthest behind")
    assert found.effect == pytest.approx(-0.3)
    assert judge({**NEARLY, "within": 2.0}, arms).verdict == "supported"
    assert judge({**NEARLY, "within": 0.01}, arms).verdict == "undecided"
    worse = {**arms, "few": [v + 3.0 for v in BELOW]}
    assert judge(NEARLY, worse).verdict == "contradicted"
    assert judge(NEARLY, {"all": BELOW}).reason == "there is no other arm."


def test_nearly_best_is_not_supported_without_all_others():
    arms = {"all": BELOW, "few": BELOW, "lost": ["failed"] * 6}
    assert judge(NEARLY, arms).verdict == "undecided"
    assert judge(NEARLY, {**arms, "few": [65.0] * 6}).verdict == "contradicted"


def test_alike_is_two_one_sided_tests_for_every_pair():
    rule = {"kind": "alike", "within": 1.0}
    close = {"a": BELOW, "b": [v + 0.1 for v in BELOW[::-1]], "untrained": [0.0] * 6}
    found = judge(rule, close)
    differences = np.subtract(BELOW, close["b"])
    assert found.p == pytest.approx(equivalence_p(differences, 1.0))
    assert (found.verdict, found.p < 0.05) == ("supported", True)
    apart = {**close, "c": [v + 4.0 for v in BELOW]}
    found = judge(rule, apart)
    assert found.verdict == "contradicted"
    assert "the pair furthest apart" in found.reason
    assert judge({**rule, "arms": ["a", "b"]}, apart).verdict == "supported"
    tight = judge({**rule, "within": 0.2}, close)
    assert (tight.verdict, tight.seeds_needed > 6) == ("undecided", True)


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
    # Figure 2 beside K=1..4 of 4 layers: 83.01, 83.79, 83.64, 83.66 (by stores.py).
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
    assert "1 seeds without a result are left out" in few.reason
    half = judge(rule, {"a": ["collapsed"] * 3 + [60.0] * 3})
    assert half.seeds_needed == NOT_REACHABLE
    assert judge(rule, {"a": ["missing"]}).reason == "a has no finished trial."


def test_claims_about_another_modality_are_left_out():
    claim = {"id": "c", "says": "x", "modalities": ["speech"], "test": BETTER}
    manifest = make_manifest("other")
    study = {**manifest.study, "claims": [claim]}
    manifest = manifest.model_copy(update={"study": study})
    assert study_verdicts(result_of({"a": ABOVE}), manifest) == ()


RULES = {
    "better": {"kind": "better", "arm": "K=2", "than": "K=1"},
    "any": {"kind": "better", "arm": None, "than": "K=1"},
    "nearly_best": {"kind": "nearly_best", "arm": "K=1", "within": 1e-9},
    "trend": {"kind": "trend"},
    "like_paper": {"kind": "like_paper"},
}


@pytest.mark.parametrize("seeds", [3, 6])
@pytest.mark.parametrize("name", RULES)
def test_chance_alone_decides_at_most_as_often_as_promised(name: str, seeds: int):
    """Arms that do not differ, seeds that do: a decision is an error, 5 % at most."""
    generator = np.random.default_rng(seeds)
    repeats = 200
    decided = 0
    for _ in range(repeats):
        shared = generator.normal(0.0, 2.0, seeds)
        arms = {
            f"K={k}": 60.0 + shared + generator.normal(size=seeds) for k in (1, 2, 3, 4)
        }
        verdict = judge(RULES[name], {a: v.tolist() for a, v in arms.items()})
        decided += verdict.verdict != "undecided"
    limit = 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / repeats)
    assert decided / repeats <= limit, decided / repeats


def test_alike_is_rarely_said_of_arms_at_the_margin():
    generator = np.random.default_rng(0)
    said = 0
    for _ in range(300):
        first = generator.normal(60.0, 1.0, 5)
        second = first - 1.0 + generator.normal(0.0, 0.5, 5)
        arms = {"a": first.tolist(), "b": second.tolist()}
        said += judge({"kind": "alike", "within": 1.0}, arms).verdict == "supported"
    assert said / 300 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)
