"""A verdict as a function of looks, and which arms go on."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from ablations.record import Manifest
from reports.claims.looks import looks_sentence
from reports.claims.next_seeds import chances, seeds_at_most, seeds_by_arm
from reports.claims.verdicts import study_verdicts
from reports.statistics.spending import nominal_levels
from reports.statistics.summary import StudyResult
from tests.reports.claims.test_verdicts import ACCURACY, judge, result_of
from tests.reports.stores import make_manifest

LOOKS = (8, 12, 16, 20)
LEVELS = nominal_levels(LOOKS)
BETTER = {"kind": "better", "arm": "a", "than": "b"}


def planned(*claims: dict[str, object], looks=LOOKS) -> Manifest:
    manifest = make_manifest("judged", ks=(1, 2, 3, 4))
    made = [
        {"id": f"claim-{number}", "says": "So it is.", "test": claim}
        for number, claim in enumerate(claims)
    ]
    study = {**manifest.study, "claims": made, "baseline": None}
    return manifest.model_copy(update={"study": study, "looks": looks})


def scores(effect: float, n: int, seed: int = 0) -> list[float]:
    return (60.0 + effect + np.random.default_rng(seed).normal(0, 1, n)).tolist()


def judged(arms, *claims, looks=LOOKS):
    return study_verdicts(result_of(arms), planned(*claims, looks=looks))


CLEAR = {"a": scores(5.0, 20), "b": scores(0.0, 20, 1)}


def test_the_first_look_that_decides_is_the_verdict_and_its_numbers():
    [found] = judged(CLEAR, BETTER)
    first = {arm: values[:8] for arm, values in CLEAR.items()}
    alone = judge(BETTER, first)
    assert (found.verdict, found.look, found.n) == ("supported", 8, 8)
    assert (found.effect, found.p) == (alone.effect, alone.p)
    assert "(97.38 %), 8 pairs of seeds. Decided at the look at 8" in found.reason
    assert found.high - found.low > alone.high - alone.low


def test_what_comes_after_the_deciding_look_changes_nothing():
    reverse = {"a": CLEAR["a"][:8] + [0.0] * 12, "b": CLEAR["b"]}
    assert judged(reverse, BETTER) == judged(CLEAR, BETTER)
    stopped = {"a": CLEAR["a"][:8], "b": CLEAR["b"]}  # its arm was not run on
    assert judged(stopped, BETTER) == judged(CLEAR, BETTER)


def test_between_looks_the_last_one_stands():
    """11 seeds that are clear at 0.05 are not looked at before the twelfth."""
    late = {"a": [60.0, 61.0] * 4 + [70.0] * 3, "b": [60.5] * 11}
    planned_arms = {arm: [*v, *["missing"] * 9] for arm, v in late.items()}
    [found] = judged(planned_arms, BETTER)
    assert (found.verdict, found.look, found.n) == ("undecided", 8, 8)
    assert "Undecided at the look at 8 seeds, level 0.0262. The next is" in found.reason


def test_before_the_first_look_nothing_is_decided_and_numbers_are_shown():
    few = {arm: values[:7] for arm, values in CLEAR.items()}
    [found] = judged(few, BETTER)
    assert (found.verdict, found.look, found.n) == ("undecided", 0, 7)
    assert found.effect == pytest.approx(judge(BETTER, few).effect)
    assert found.reason.endswith("No look was taken: the first is at 8 seeds.")


def test_the_last_look_has_a_smaller_level_than_one_test_alone():
    """p between the level of the last look and 0.05."""
    differences = np.array([1.0, -1.0] * 6 + [1.3] * 8)
    arms = {"a": (60.0 + differences).tolist(), "b": [60.0] * 20}
    once = judge(BETTER, arms)
    [found] = judged(arms, BETTER)
    assert LEVELS[-1] < once.p < 0.05
    assert (once.verdict, found.verdict) == ("supported", "undecided")
    assert found.reason.endswith("level 0.0177. It was the last.")
    assert found.seeds_needed is not None


def test_a_failed_trial_does_not_keep_a_look_waiting():
    failed = {**CLEAR, "a": ["failed", *CLEAR["a"][1:]]}
    [found] = judged(failed, BETTER)
    assert (found.look, found.n) == (8, 7)


def test_without_looks_verdicts_say_nothing_of_them():
    [found] = judged(CLEAR, BETTER, looks=())
    assert (found.look, found.n) == (0, 20)
    assert found.reason.endswith("(95 %), 20 pairs of seeds.")
    assert looks_sentence(planned(BETTER, looks=())) == ""
    assert looks_sentence(planned(BETTER)) == (
        "Claims were judged at planned looks at 8, 12, 16 and 20 seeds, the first that "
        "decides counts; the looks spend 0.05 together (Lan and DeMets' spending of "
        "Pocock's type; two-sided level of each: 0.0262, 0.0179, 0.0175, 0.0177)"
    )


def with_missing(arms, most: int = 20) -> StudyResult:
    return result_of({a: [*v, *["missing"] * (most - len(v))] for a, v in arms.items()})


ALIKE = scores(0.0, 20, 2)
UNCLEAR = {"kind": "better", "arm": "c", "than": "b"}


def test_arms_that_no_undecided_claim_needs_stop():
    arms = {**CLEAR, "c": ALIKE, "untrained": [40.0] * 20}
    manifest = planned(BETTER, UNCLEAR)
    none = with_missing(dict.fromkeys(arms, ()))
    assert set(seeds_by_arm(none, manifest).values()) == {8}
    first = with_missing({arm: values[:8] for arm, values in arms.items()})
    after = seeds_by_arm(first, manifest)
    assert after == {"a": 8, "b": 12, "c": 12, "untrained": 8}
    assert seeds_at_most(first, manifest) == {"a": 8, "b": 20, "c": 20, "untrained": 8}
    second = with_missing({arm: values[: after[arm]] for arm, values in arms.items()})
    assert seeds_by_arm(second, manifest)["c"] == 16
    assert study_verdicts(first, manifest)[0] == study_verdicts(second, manifest)[0]


def test_the_baseline_stays_while_any_claim_is_undecided():
    arms = {**CLEAR, "c": ALIKE, "d": scores(0.0, 20, 5)}
    manifest = planned(BETTER, {"kind": "better", "arm": "c", "than": "d"})
    first = with_missing({arm: values[:8] for arm, values in arms.items()})
    assert seeds_by_arm(first, manifest)["a"] == 8
    of_study = StudyResult(ACCURACY, "a", None, first.arms)
    assert seeds_by_arm(of_study, manifest)["a"] == 12


def test_a_claim_that_no_seed_can_decide_gets_none():
    diverged = {"a": ["diverged", *CLEAR["a"][1:8]], "b": CLEAR["b"][:8]}
    result = with_missing(diverged)
    assert seeds_by_arm(result, planned(BETTER)) == {"a": 8, "b": 8}
    assert chances(result, planned(BETTER)) == {"claim-0": None}


def test_once_all_is_decided_or_the_last_look_is_over_nothing_is_added():
    assert seeds_by_arm(with_missing(CLEAR), planned(BETTER)) == {"a": 8, "b": 8}
    arms = {"b": CLEAR["b"], "c": ALIKE}
    assert seeds_by_arm(with_missing(arms), planned(UNCLEAR)) == {"b": 20, "c": 20}


def test_the_chance_to_decide_grows_with_looks_and_effect():
    def of(effect: float) -> tuple[float, ...]:
        values = np.array([-1.0, 0.0, 1.0, -0.5, 0.5])
        arms = {"a": (60 + effect + values).tolist(), "b": [60.0, 60.1, 59.9, 60, 60]}
        found = chances(with_missing(arms), planned(BETTER), 60)["claim-0"]
        assert found is not None
        return found

    small, large = of(0.2), of(3.0)
    assert list(small) == sorted(small)
    assert small[-1] < 0.6
    assert large[0] > 0.9
    two = {"a": [60.0, 61.0], "b": [59.0, 59.5]}
    assert chances(with_missing(two), planned(BETTER)) == {"claim-0": None}
    assert chances(with_missing(CLEAR), planned(BETTER)) == {"claim-0": (1.0,) * 4}


def test_the_chance_of_a_collapse_is_that_of_the_measured_seeds():
    rule = {"kind": "collapses", "arm": "a"}
    arms = {"a": ["collapsed"] * 5, "b": [60.0] * 5}
    assert chances(with_missing(arms), planned(rule), 20) == {"claim-0": (1.0,) * 4}


def test_a_manifest_takes_looks_and_old_ones_have_none():
    data = make_manifest("judged").model_dump(mode="json")
    del data["looks"]
    assert Manifest.model_validate(data).looks == ()
    assert Manifest.model_validate({**data, "looks": [8, 12]}).looks == (8, 12)
    with pytest.raises(ValidationError):
        Manifest.model_validate({**data, "looks": [0]})
