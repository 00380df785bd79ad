"""The rules that look at differences between arms.

A difference is clear of a border when its t interval is and the exact sign-flip p
against the border is below 0.05; so too few seeds decide nothing. Where a rule may pick
one of several arms, intervals are Bonferroni's, 95 % for all of them together, and p
are Holm's. Where all of several comparisons must hold, each is at its own 95 % and its
own p: a conjunction of tests needs no correction (Berger 1982). Equivalence is tested
by one-sided tests against both margins, a t and an exact sign-flip test each. Where one
of several looks is taken, its level stands for 0.05, and the confidence for 95 %.
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
    Interval,
    equivalence_p,
    holm,
    sign_flip_p,
)
from reports.statistics.planning import fewest_pairs
from reports.tables.wording import signed


@dataclass(frozen=True)
class _Tested:
    """A comparison with what was computed of it.

    Attributes:
        one: The comparison.
        interval: The interval of its mean.
        p: That of its mean against a border or margin.
        level: Confidence and correction, in words.
        alpha: What the p must stay below.
        fewest: Pairs from which it can.
    """

    one: Comparison
    interval: Interval
    p: float
    level: str
    alpha: float
    fewest: int

    def is_above(self, border: float) -> bool:
        return self.interval.low > border and self.p < self.alpha

    def is_below(self, border: float) -> bool:
        return self.interval.high < border and self.p < self.alpha


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
    by, num_tried, alpha = rule.by, len(tried), evidence.alpha
    tested = _tested(usable, by, evidence, num_tried)
    above = [one for one in tested if one.is_above(by)]
    hopeful = above or [one for one in tested if one.one.mean > by]
    all_below = not trouble and all(one.is_below(by) for one in tested)
    shown = _furthest_ahead(hopeful, tested)
    ahead = [one for one in usable if one.mean > by]
    return _finding(
        evidence,
        "supported" if above else "contradicted" if all_below else "undecided",
        shown,
        f"{shown.one.arm} minus {rule.than} against {signed(by) if by else 0}",
        _remarks(trouble, evidence.collapsed(rule.than)),
        [
            Plan(ahead, (by,), num_tried, alpha),
            Plan([] if trouble else usable, (by,), num_tried, alpha, needs_all=True),
        ],
    )


def nearly_best(rule: NearlyBest, evidence: Evidence) -> Finding:
    """An arm is at most a little worse than every other."""
    others = [label for label in evidence.own_arms if label != rule.arm]
    tried = [evidence.compare(rule.arm, label) for label in others]
    usable, trouble = _sorted_out(tried)
    if not usable:
        return _undecided(evidence, trouble)
    border, num_tried, alpha = -rule.within, len(tried), evidence.alpha
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
            Plan(worse, (border,), num_tried, alpha),
            Plan([] if trouble else usable, (border,), 1, alpha, needs_all=True),
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
    apart = [one for one in behind if evidence.is_clear(one.p)]
    holds = not trouble and all(evidence.is_clear(one.p) for one in tested)
    if behind:
        shown, which = min(behind, key=lambda one: one.p), "clearest outside"
    else:
        shown, which = max(tested, key=lambda one: one.p), "with the largest p"
    far = [one for one in usable if abs(one.mean) > within]
    return _finding(
        evidence,
        "contradicted" if apart else "supported" if holds else "undecided",
        shown,
        f"{shown.one.arm} minus {shown.one.other}, the pair {which}, against "
        f"±{within:g}",
        _remarks(trouble),
        [
            Plan(far, margins, len(tried), evidence.alpha),
            Plan(
                [] if trouble else usable,
                margins,
                ONE_SIDED,
                evidence.alpha,
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
    return _jointly(usable, adjusted, evidence, tried, "arms")


def _equivalence(one: Comparison, within: float, evidence: Evidence) -> _Tested:
    confidence, alpha = evidence.equivalence_confidence, evidence.alpha
    interval, level = (
        one.interval(confidence),
        f"{_percent(confidence)}, for equivalence",
    )
    p = equivalence_p(one.differences, within, evidence.generator())
    assert p is not None, "a comparison without trouble has two pairs"
    return _Tested(one, interval, p, level, alpha, fewest_pairs(sides=1, alpha=alpha))


def _outside(
    usable: Sequence[Comparison], within: float, evidence: Evidence, tried: int
) -> list[_Tested]:
    """Pairs whose joint interval lies outside the margin, with their Holm p.

    The p of the other pairs count as 1, which can only make these larger.
    """
    joint = evidence.joint_confidence(tried)
    far = [one for one in usable if _is_outside(one.interval(joint), within)]
    p_values = [_p(one, math.copysign(within, one.mean), evidence) for one in far]
    adjusted = holm([*p_values, *[1.0] * (tried - len(far))])
    return _jointly(far, adjusted, evidence, tried, "pairs")


def _jointly(
    ones: Sequence[Comparison],
    adjusted: Sequence[float],
    evidence: Evidence,
    tried: int,
    noun: str,
) -> list[_Tested]:
    """With Holm's p, and intervals that hold together."""
    confidence, alpha = evidence.joint_confidence(tried), evidence.alpha
    level = _percent(confidence) + f", {tried} {noun} tried" * (tried > 1)
    fewest = fewest_pairs(tried, alpha=alpha)
    return [
        _Tested(one, one.interval(confidence), p, level, alpha, fewest)
        for one, p in zip(ones, adjusted, strict=False)
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
            f" No p below {shown.alpha:.3g} exists with {n} pairs, the fewest are "
            f"{shown.fewest}."
        )
    seeds, more_draws = (
        planned_seeds(n, plans)
        if verdict == "undecided" and evidence.plans_ahead
        else (None,) * 2
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


def _percent(confidence: float) -> str:
    return f"{100 * confidence:.4g} %"
