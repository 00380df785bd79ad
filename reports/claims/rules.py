"""The rules that look at differences between arms.

A difference is clear of a border when its t interval is and the exact sign-flip p
against the border is below 0.05; so too few seeds decide nothing. Where a rule may pick
one of several arms, intervals are Bonferroni's, 95 % for all of them together, and p
are Holm's. Where all of several comparisons must hold, each is at its own 95 % and its
own p: a conjunction of tests needs no correction (Berger 1982). Equivalence is tested
by one-sided tests against both margins, a t and an exact sign-flip test each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ablations.study.claims import Alike, Better, NearlyBest
from reports.claims.evidence import (
    Comparison,
    Evidence,
    Finding,
    Outcome,
)
from reports.claims.seed_plans import ONE_SIDED, Plan, planned_seeds
from reports.statistics.inference import (
    ALPHA,
    CONFIDENCE,
    Interval,
    equivalence_p,
    holm,
    sign_flip_p,
)
from reports.statistics.planning import fewest_pairs
from reports.tables.wording import signed

EQUIVALENCE_CONFIDENCE = 1.0 - 2.0 * ALPHA


@dataclass(frozen=True)
class _Tested:
    """A comparison with what was computed of it.

    Attributes:
        one: The comparison.
        interval: The interval of its mean.
        p: That of its mean against a border or margin.
        level: Confidence and correction, in words.
        fewest: Pairs from which such a p can be below 0.05.
    """

    one: Comparison
    interval: Interval
    p: float
    level: str
    fewest: int = 0

    def is_above(self, border: float) -> bool:
        return self.interval.low > border and self.p < ALPHA

    def is_below(self, border: float) -> bool:
        return self.interval.high < border and self.p < ALPHA


def better(rule: Better, evidence: Evidence) -> Finding:
    """One arm, or one of several, beats another by a margin."""
    others = [label for label in evidence.own_arms if label != rule.than]
    tried = [
        evidence.compare(label, rule.than, other_may_collapse=True)
        for label in (others if rule.arm is None else [rule.arm])
    ]
    usable, trouble = _sorted_out(tried)
    if not usable:
        return _undecided(evidence, trouble)
    by, num_tried = rule.by, len(tried)
    tested = _tested(usable, by, evidence, num_tried)
    above = [one for one in tested if one.is_above(by)]
    hopeful = above or [one for one in tested if one.one.mean > by]
    all_below = not trouble and all(one.is_below(by) for one in tested)
    shown = _furthest_ahead(hopeful, tested)
    joint = _joint_confidence(num_tried)
    ahead = [one for one in usable if one.mean > by]
    return _finding(
        evidence,
        "supported" if above else "contradicted" if all_below else "undecided",
        shown,
        f"{shown.one.arm} minus {rule.than} against {signed(by) if by else 0}",
        _remarks(trouble, evidence.collapsed(rule.than)),
        [
            Plan(ahead, (by,), joint, num_tried),
            Plan([] if trouble else usable, (by,), joint, num_tried, needs_all=True),
        ],
    )


def nearly_best(rule: NearlyBest, evidence: Evidence) -> Finding:
    """An arm is at most a little worse than every other."""
    others = [label for label in evidence.own_arms if label != rule.arm]
    tried = [evidence.compare(rule.arm, label) for label in others]
    usable, trouble = _sorted_out(tried)
    if not usable:
        return _undecided(evidence, trouble)
    border, num_tried = -rule.within, len(tried)
    each = [_tested([one], border, evidence, 1)[0] for one in usable]
    jointly = _tested(usable, border, evidence, num_tried)
    pairs = zip(jointly, each, strict=True)
    behind = [joint for joint, alone in pairs if alone.interval.high < border]
    lost = [one for one in behind if one.is_below(border)]
    holds = not trouble and all(one.is_above(border) for one in each)
    shown = _furthest_behind(lost or behind, each)
    which = "is behind" if behind else "may be furthest behind"
    worse = [one for one in usable if one.mean < border]
    return _finding(
        evidence,
        "contradicted" if lost else "supported" if holds else "undecided",
        shown,
        f"{rule.arm} minus {shown.one.other}, the arm it {which}, against "
        f"{signed(border)}",
        _remarks(trouble),
        [
            Plan(worse, (border,), _joint_confidence(num_tried), num_tried),
            Plan([] if trouble else usable, (border,), CONFIDENCE, 1, needs_all=True),
        ],
    )


def alike(rule: Alike, evidence: Evidence) -> Finding:
    """Every pair of arms is equivalent within a margin."""
    labels = list(rule.arms) or evidence.own_arms
    tried = [evidence.compare(*pair) for pair in combinations(labels, 2)]
    usable, trouble = _sorted_out(tried)
    if not usable:
        return _undecided(evidence, trouble)
    within, margins = rule.within, (-rule.within, rule.within)
    tested = [_equivalence(one, within, evidence) for one in usable]
    behind = _outside(usable, within, evidence, len(tried))
    apart = [one for one in behind if one.p < ALPHA]
    holds = not trouble and all(one.p < ALPHA for one in tested)
    if behind:
        shown, which = min(behind, key=lambda one: one.p), "clearest outside"
    else:
        shown, which = max(tested, key=lambda one: one.p), "with the largest p"
    far = [one for one in usable if abs(one.mean) > within]
    joint = _joint_confidence(len(tried))
    return _finding(
        evidence,
        "contradicted" if apart else "supported" if holds else "undecided",
        shown,
        f"{shown.one.arm} minus {shown.one.other}, the pair {which}, against "
        f"±{within:g}",
        _remarks(trouble),
        [
            Plan(far, margins, joint, len(tried)),
            Plan(
                [] if trouble else usable,
                margins,
                EQUIVALENCE_CONFIDENCE,
                ONE_SIDED,
                needs_all=True,
            ),
        ],
    )


def _tested(
    usable: Sequence[Comparison], border: float, evidence: Evidence, tried: int
) -> list[_Tested]:
    """Against a border, corrected for so many comparisons; the rest have no p."""
    p_values = [_p(one, border, evidence) for one in usable]
    adjusted = holm([*p_values, *[1.0] * (tried - len(usable))])
    confidence, level = _joint_confidence(tried), _level(tried, "arms")
    return [
        _Tested(one, one.interval(confidence), p, level, fewest_pairs(tried))
        for one, p in zip(usable, adjusted, strict=False)
    ]


def _equivalence(one: Comparison, within: float, evidence: Evidence) -> _Tested:
    interval = one.interval(EQUIVALENCE_CONFIDENCE)
    p = equivalence_p(one.differences, within, evidence.generator())
    assert p is not None, "a comparison without trouble has two pairs"
    return _Tested(one, interval, p, "90 %, for equivalence", fewest_pairs(sides=1))


def _outside(
    usable: Sequence[Comparison], within: float, evidence: Evidence, tried: int
) -> list[_Tested]:
    """Pairs whose joint interval lies outside the margin, with their Holm p.

    The p of the other pairs count as 1, which can only make these larger.
    """
    joint, level = _joint_confidence(tried), _level(tried, "pairs")
    far = [one for one in usable if _is_outside(one.interval(joint), within)]
    p_values = [_p(one, math.copysign(within, one.mean), evidence) for one in far]
    adjusted = holm([*p_values, *[1.0] * (tried - len(far))])
    return [
        _Tested(one, one.interval(joint), p, level, fewest_pairs(tried))
        for one, p in zip(far, adjusted, strict=False)
    ]


def _furthest_ahead(hopeful: Sequence[_Tested], tested: Sequence[_Tested]) -> _Tested:
    """The one most clearly ahead or, if none is, what keeps all from being behind."""
    if hopeful:
        return max(hopeful, key=lambda one: one.interval.low)
    return _largest_p(max(tested, key=lambda one: one.interval.high), tested)


def _furthest_behind(behind: Sequence[_Tested], each: Sequence[_Tested]) -> _Tested:
    """The one most clearly behind or, if none is, the one that may be furthest."""
    if behind:
        return min(behind, key=lambda one: one.interval.high)
    return _largest_p(min(each, key=lambda one: one.interval.low), each)


def _largest_p(shown: _Tested, tested: Sequence[_Tested]) -> _Tested:
    """One comparison where all must hold, with the p of all of them."""
    if len(tested) == 1:
        return shown
    level = f"{shown.level}, p the largest of {len(tested)}"
    return replace(shown, p=max(one.p for one in tested), level=level)


def _finding(
    evidence: Evidence,
    verdict: Outcome,
    shown: _Tested,
    what: str,
    remarks: Sequence[str],
    plans: Sequence[Plan],
) -> Finding:
    one, interval, n = shown.one, shown.interval, shown.one.n
    ends = f"[{signed(interval.low)}, {signed(interval.high)}]"
    text = f"{what}: {signed(one.mean)} {ends} ({shown.level}), {n} pairs of seeds."
    if n < shown.fewest:
        text += (
            f" No p below 0.05 exists with {n} pairs, the fewest are {shown.fewest}."
        )
    seeds, more_draws = (
        planned_seeds(n, plans) if verdict == "undecided" else (None,) * 2
    )
    return Finding(
        verdict=verdict,
        measure=evidence.measure,
        reason=" ".join([text, *remarks]),
        effect=one.mean,
        interval=interval,
        n=n,
        p=shown.p,
        seeds_needed=seeds,
        more_draws=more_draws,
    )


def _remarks(trouble: Sequence[str], collapsed: str = "") -> list[str]:
    counts = [f"{collapsed}; their values count."] if collapsed else []
    return counts + ([f"Left out: {'; '.join(trouble)}."] if trouble else [])


def _sorted_out(tried: Sequence[Comparison]) -> tuple[list[Comparison], list[str]]:
    """Comparisons that can be made, and what is in the way of the others."""
    usable = [one for one in tried if not one.trouble]
    return usable, list(dict.fromkeys(one.trouble for one in tried if one.trouble))


def _undecided(evidence: Evidence, trouble: Sequence[str]) -> Finding:
    why = "; ".join(trouble) or "there is no other arm"
    return Finding("undecided", evidence.measure, f"{why}.")


def _p(one: Comparison, value: float, evidence: Evidence) -> float:
    p = sign_flip_p(one.differences - value, evidence.generator())
    assert p is not None, "a comparison without trouble has two pairs"
    return p


def _is_outside(interval: Interval, margin: float) -> bool:
    return interval.low > margin or interval.high < -margin


def _joint_confidence(tried: int) -> float:
    """Bonferroni's: so many intervals hold together with 95 %."""
    return 1.0 - (1.0 - CONFIDENCE) / tried


def _level(tried: int, noun: str) -> str:
    percent = f"{100 * _joint_confidence(tried):.4g} %"
    return percent if tried == 1 else f"{percent}, {tried} {noun} tried"
