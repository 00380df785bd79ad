"""Verdicts on made-up numbers, and how often they are wrong on pure chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ablations.metrics import Metric
from ablations.record import Manifest
from reports.claims.evidence import NOT_REACHABLE
from reports.claims.verdicts import Verdict, study_verdicts
from reports.statistics.inference import equivalence_p, sign_flip_p
from reports.statistics.summary import ArmResult, SeedResult, StudyResult
from tests.reports.stores import make_manifest

Cell = float | str
ACCURACY = Metric("linear_accuracy", "accuracy (%)", True)
ERROR = Metric("word_error_rate", "word error rate (%)", False)


def seed_result(seed: int, cell: Cell) -> SeedResult:
    """Text is a status, ``collapsed`` with the value 10 all the same."""
    if isinstance(cell, str):
        return SeedResult(seed, cell, "", 10.0 if cell == "collapsed" else None)
    return SeedResult(seed, "finished", "", cell)


def result_of(
    arms: Mapping[str, Sequence[Cell]], metric: Metric = ACCURACY
) -> StudyResult:
    built = []
    for label, cells in arms.items():
        seeds = tuple(seed_result(seed, cell) for seed, cell in enumerate(cells))
        is_reference = label in ("untrained", "supervised")
        built.append(ArmResult(label, is_reference, seeds, None, None, None))
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
    high, low = [*ABOVE, 61.7], [*BELOW, 60.2]
    lower = [v - 5.0 for v in low]
    noisy = [55.0, 66.0, 58.0, 63.0, 59.0, 61.0, 60.0]
    found = judge(rule, {"b": high, "a": low, "c": lower})
    assert (found.verdict, found.p) == ("contradicted", pytest.approx(2 * 2 / 128))
    assert found.reason.startswith("a minus b against 0: −")
    assert "97.5 %, 2 arms tried, p the largest of 2" in found.reason
    found = judge(rule, {"b": high, "a": low, "c": noisy})
    assert found.verdict == "undecided"
    assert found.reason.startswith("c minus b")
    assert found.p == pytest.approx(sign_flip_p(np.subtract(noisy, high)))
    missing = {"b": high, "a": low, "c": ["missing"] * 7}
    found = judge(rule, missing)
    assert (found.verdict, found.seeds_needed) == ("undecided", None)
    assert "Left out: c has no result (missing)." in found.reason
    assert judge(rule, {"b": high}).reason == "there is no other arm."


@pytest.mark.parametrize("pairs", [2, 5])
def test_fewer_than_six_pairs_decide_no_difference(pairs: int):
    arms = {"a": [v + 5.0 for v in ABOVE[:pairs]], "b": BELOW[:pairs]}
    for rule in (
        BETTER,
        {"kind": "better", "arm": "b", "than": "a"},
        {"kind": "nearly_best", "arm": "a", "within": 1.0},
        {"kind": "nearly_best", "arm": "b", "within": 1.0},
    ):
        found = judge(rule, arms)
        assert (found.verdict, found.p) == ("undecided", 2 / 2**pairs)
        assert f"No p below 0.05 exists with {pairs} pairs, the fewest are 6." in (
            found.reason
        )
        assert found.seeds_needed == 6


def test_an_interval_without_its_p_does_not_decide():
    arms = {"a": [1.0, 1.0, 1.0, 1.0, 1.0, -0.05], "b": [0.0] * 6}
    found = judge(BETTER, arms)
    assert found.low > 0.0
    assert (found.verdict, found.p) == ("undecided", 4 / 64)
    assert found.seeds_needed == 7
    nearly = {"kind": "nearly_best", "arm": "a", "within": 1e-9}
    assert judge(nearly, arms).verdict == "undecided"
    assert judge({**nearly, "arm": "b"}, arms).verdict == "undecided"


def test_more_arms_tried_need_more_pairs():
    any_arm = {"kind": "better", "arm": None, "than": "b"}
    for rule in (any_arm, {"kind": "nearly_best", "arm": "b", "within": 0.1}):
        arms = {"b": BELOW, "a": ABOVE, "c": BELOW[::-1]}
        found = judge(rule, arms)
        assert (found.verdict, found.p) == ("undecided", 2 * 2 / 64)
        assert "with 6 pairs, the fewest are 7." in found.reason
        assert found.seeds_needed == 7
        more = {"b": [*BELOW, 60.2], "a": [*ABOVE, 61.2], "c": [*BELOW[::-1], 60.1]}
        assert judge(rule, more).verdict != "undecided"


@pytest.mark.parametrize("status", ["collapsed", "diverged"])
def test_a_dead_trial_makes_its_arm_no_evidence(status: str):
    found = judge(BETTER, {"a": [*ABOVE[:5], status], "b": BELOW})
    assert (found.verdict, found.effect, found.n) == ("undecided", None, 0)
    assert found.reason == f"a {status} in 1 of 6 seeds."
    for rule in (NEARLY | {"arm": "a"}, {"kind": "alike", "within": 99.0}):
        found = judge(rule, {"a": ABOVE, "b": [*BELOW[:5], status]})
        assert found.reason == f"b {status} in 1 of 6 seeds."


def test_the_arm_to_be_beaten_may_collapse_and_not_diverge():
    dead = [*BELOW[:4], "collapsed", "collapsed"]
    found = judge(BETTER, {"a": ABOVE, "b": dead})
    differences = np.subtract(ABOVE, [*BELOW[:4], 10.0, 10.0])
    assert (found.effect, found.n) == (pytest.approx(differences.mean()), 6)
    assert found.reason.endswith("b collapsed in 2 of 6 seeds; their values count.")
    all_dead = {"a": ABOVE, "b": ["collapsed"] * 6}
    assert judge(BETTER, all_dead).verdict == "supported"
    assert judge({**BETTER, "arm": None}, all_dead).verdict == "supported"
    assert judge(BETTER, {"a": [9.0] * 6, "b": ["collapsed"] * 6}).verdict == (
        "contradicted"
    )
    found = judge(BETTER, {"a": ABOVE, "b": [*BELOW[:5], "diverged"]})
    assert (found.effect, found.reason) == (None, "b diverged in 1 of 6 seeds.")


def test_other_failures_only_make_the_sample_smaller():
    found = judge(BETTER, {"a": [*ABOVE[:4], "failed", "missing"], "b": BELOW})
    assert (found.verdict, found.n) == ("undecided", 4)
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


def like_normal(mean: float, spread: float, n: int) -> list[float]:
    """Scores of exactly this mean and standard deviation."""
    scores = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return (mean + spread * scores / scores.std(ddof=1)).tolist()


PLANNED = {
    "better": {"kind": "better", "arm": "a", "than": "b"},
    "worse": {"kind": "better", "arm": "b", "than": "a"},
    "any": {"kind": "better", "arm": None, "than": "b"},
    "nearly": {"kind": "nearly_best", "arm": "a", "within": 1e-9},
    "beaten": {"kind": "nearly_best", "arm": "b", "within": 1e-9},
    "apart": {"kind": "alike", "within": 0.1},
}


@pytest.mark.parametrize("effect", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("name", [*PLANNED, "alike"])
def test_with_the_seeds_planned_and_no_fewer_the_verdict_falls(name, effect):
    """Whatever the verdict needs, if effect and spread stay as measured."""

    def arms(n: int) -> dict[str, list[float]]:
        found = {"a": like_normal(effect, 1.0, n), "b": [0.0] * n}
        if name in ("any", "beaten"):  # one more arm that is tried, and as bad as b
            found["c"] = like_normal(-0.01, 0.02, n)
        return found

    alike = {"kind": "alike", "within": effect + 0.8}
    rule = (PLANNED | {"alike": alike})[name]
    found = judge(rule, arms(3))
    assert found.verdict == "undecided"
    needed = found.seeds_needed
    assert needed > 3
    assert judge(rule, arms(needed)).verdict != "undecided"
    if needed > 4:
        assert judge(rule, arms(needed - 1)).verdict == "undecided"


NEARLY = {"kind": "nearly_best", "arm": "all", "within": 1.0}


def test_nearly_best_shows_the_comparison_with_the_lowest_interval_end():
    few, wide = [v + 0.3 for v in BELOW[::-1]], [63.0, 57.0, 62.0, 58.0, 61.0, 60.0]
    arms = {"all": BELOW, "few": few, "wide": wide, "one": [40.0] * 6}
    found = judge(NEARLY, arms)
    differences = np.subtract(BELOW, wide)
    assert found.effect == pytest.approx(differences.mean())
    assert found.effect > np.subtract(BELOW, few).mean()
    assert found.reason.startswith("all minus wide, the arm it may be furthest behind,")
    assert "(95 %, p the largest of 3)" in found.reason
    assert found.p == pytest.approx(sign_flip_p(differences + 1.0))
    assert (found.verdict, found.p > 0.05) == ("undecided", True)
    assert judge(NEARLY, {"all": BELOW}).reason == "there is no other arm."


def test_nearly_best_has_two_borders():
    arms = {"all": BELOW, "few": [v + 0.3 for v in BELOW[::-1]], "one": [40.0] * 6}
    assert judge({**NEARLY, "within": 2.0}, arms).verdict == "supported"
    assert judge({**NEARLY, "within": 0.01}, arms).verdict == "undecided"
    seventh = {"all": [*BELOW, 60.1], "few": [v + 3.0 for v in [*BELOW, 60.2]]}
    found = judge(NEARLY, {**seventh, "one": [40.0] * 7})
    assert (found.verdict, found.p) == ("contradicted", 2 * 2 / 128)
    assert found.reason.startswith("all minus few, the arm it is behind, against −1.00")
    assert "(97.5 %, 2 arms tried)" in found.reason


def test_nearly_best_is_not_supported_without_all_others():
    arms = {"all": [*BELOW, 60.0], "few": [*BELOW, 60.0], "lost": ["failed"] * 7}
    assert judge(NEARLY, arms).verdict == "undecided"
    assert judge(NEARLY, {**arms, "few": [65.0] * 7}).verdict == "contradicted"


def test_alike_is_two_one_sided_tests_for_every_pair():
    rule = {"kind": "alike", "within": 1.0}
    base = [*BELOW, 60.5]
    close = {"a": base, "b": [v + 0.1 for v in base[::-1]], "untrained": [0.0] * 7}
    found = judge(rule, close)
    differences = np.subtract(base, close["b"])
    assert found.p == pytest.approx(equivalence_p(differences, 1.0))
    assert (found.verdict, found.p < 0.05) == ("supported", True)
    apart = {**close, "c": [v + 4.0 for v in base]}
    found = judge(rule, apart)
    assert (found.verdict, found.p) == ("contradicted", pytest.approx(3 * 2 / 2**7))
    assert found.reason.startswith("a minus c, the pair clearest outside,")
    assert judge({**rule, "arms": ["a", "b"]}, apart).verdict == "supported"
    tight = judge({**rule, "within": 0.2}, close)
    assert (tight.verdict, tight.seeds_needed > 6) == ("undecided", True)
    four = judge(rule, {arm: values[:4] for arm, values in close.items()})
    assert (four.verdict, four.seeds_needed) == ("undecided", 6)
    assert "No p below 0.05 exists with 4 pairs, the fewest are 5." in four.reason
    six = judge(rule, {arm: values[:6] for arm, values in apart.items()})
    assert (six.verdict, six.seeds_needed) == ("undecided", 7)


def test_alike_shows_the_pair_with_the_largest_p():
    a, wide = BELOW, [v + d for v, d in zip(BELOW, [2, -2, 2, -2, 1, -1], strict=True)]
    arms = {"a": a, "shifted": [v + 0.5 for v in a], "wide": wide}
    found = judge({"kind": "alike", "within": 1.0}, arms)
    by_pair = {
        pair: equivalence_p(np.subtract(arms[pair[0]], arms[pair[1]]), 1.0)
        for pair in combinations(arms, 2)
    }
    pair = max(by_pair, key=lambda pair: by_pair[pair])
    assert pair == ("shifted", "wide")
    assert found.reason.startswith("shifted minus wide, the pair with the largest p,")
    assert (found.verdict, found.p) == ("undecided", pytest.approx(by_pair[pair]))


def test_claims_about_another_modality_are_left_out():
    claim = {"id": "c", "says": "x", "modalities": ["speech"], "test": BETTER}
    manifest = make_manifest("other")
    study = {**manifest.study, "claims": [claim]}
    manifest = manifest.model_copy(update={"study": study})
    assert study_verdicts(result_of({"a": ABOVE}), manifest) == ()
