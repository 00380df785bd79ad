"""The rules that look at differences between arms.

A difference is clear of a border when its t interval is and the exact sign-flip p
against the border is below 0.05; so too few seeds decide nothing. Where a rule may pick
one of several arms, intervals are Bonferroni's, 95 % for all of them together, and p
are Holm's. Where all of several comparisons must hold, each is at its own 95 % and its
own p: a conjunction of tests needs no correction (Berger 1982). Equivalence is tested
by two one-sided t tests instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ablations.study.claims import Alike, Better, NearlyBest
from reports.claims.evidence import (
    NOT_REACHABLE,
    Comparison,
    Evidence,
    Finding,
    Outcome,
    SeedsNeeded,
)
from reports.statistics.inference import (
    ALPHA,
    CONFIDENCE,
    Interval,
    equivalence_interval,
    equivalence_p,
    fewest_pairs,
    holm,
    sign_flip_p,
)
from reports.tables.wording import signed

EQUIVALENCE_CONFIDENCE = 1.0 - 2.0 * ALPHA
Needed = Sequence[int | None]
"""Seeds for each of several comparisons; None: not reachable."""


@dataclass(frozen=True)
class _Tested:
    """A comparison with what was computed of it.

    Attributes:
        one: The comparison.
        interval: Of its mean.
        p: Of its mean against a border or margin.
        level: What the interval and p are, in words.
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
    found = _tested(usable, by, evidence, num_tried)
    above = [one for one in found if one.is_above(by)]
    hopeful = above or [one for one in found if one.one.mean > by]
    all_below = not trouble and all(one.is_below(by) for one in found)
    shown = _furthest_ahead(hopeful, found)
    joint = _joint_confidence(num_tried)
    ahead = [one for one in usable if one.mean > by]
    return _finding(
        evidence,
        "supported" if above else "contradicted" if all_below else "undecided",
        shown,
        f"{shown.one.arm} minus {rule.than} against {signed(by) if by else 0}",
        _remarks(trouble, evidence.collapsed(rule.than)),
        _seeds(
            shown,
            _needed(ahead, [by], joint, num_tried),
            [] if trouble else _needed(usable, [by], joint, num_tried),
        ),
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
        _seeds(
            shown,
            _needed(worse, [border], _joint_confidence(num_tried), num_tried),
            [] if trouble else _needed(usable, [border], CONFIDENCE, 1),
        ),
    )


def alike(rule: Alike, evidence: Evidence) -> Finding:
    """Every pair of arms is equivalent within a margin."""
    labels = list(rule.arms) or evidence.own_arms
    tried = [evidence.compare(*pair) for pair in combinations(labels, 2)]
    usable, trouble = _sorted_out(tried)
    if not usable:
        return _undecided(evidence, trouble)
    within, margins = rule.within, [-rule.within, rule.within]
    joint = _joint_confidence(len(tried))
    found = [_equivalence(one, within) for one in usable]
    apart = [one for one in found if _is_outside(one.one.interval(joint), within)]
    shown = max(apart or found, key=lambda one: one.p)
    if apart:
        interval, level = shown.one.interval(joint), _level(len(tried), "pairs")
        shown = replace(shown, interval=interval, level=level)
    outside = [one for one in usable if abs(one.mean) > within]
    holds = not trouble and all(one.p < ALPHA for one in found)
    return _finding(
        evidence,
        "contradicted" if apart else "supported" if holds else "undecided",
        shown,
        f"{shown.one.arm} minus {shown.one.other}, the pair with the largest p, "
        f"against ±{within:g}",
        _remarks(trouble),
        _seeds(
            shown,
            _needed(outside, margins, joint, 0),
            [] if trouble else _needed(usable, margins, EQUIVALENCE_CONFIDENCE, 0),
        ),
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


def _equivalence(one: Comparison, within: float) -> _Tested:
    interval = equivalence_interval(one.differences)
    p = equivalence_p(one.differences, within)
    assert interval is not None, "a comparison without trouble has two pairs"
    assert p is not None, "a comparison without trouble has two pairs"
    return _Tested(one, interval, p, "90 %, for equivalence")


def _furthest_ahead(hopeful: Sequence[_Tested], found: Sequence[_Tested]) -> _Tested:
    """The one most clearly ahead or, if none is, what keeps all from being behind."""
    if hopeful:
        return max(hopeful, key=lambda one: one.interval.low)
    return _largest_p(max(found, key=lambda one: one.interval.high), found)


def _furthest_behind(behind: Sequence[_Tested], each: Sequence[_Tested]) -> _Tested:
    """The one most clearly behind or, if none is, the one that may be furthest."""
    if behind:
        return min(behind, key=lambda one: one.interval.high)
    return _largest_p(min(each, key=lambda one: one.interval.low), each)


def _largest_p(shown: _Tested, found: Sequence[_Tested]) -> _Tested:
    """One comparison where all must hold, with the p of all of them."""
    if len(found) == 1:
        return shown
    level = f"{shown.level}, p the largest of {len(found)}"
    return replace(shown, p=max(one.p for one in found), level=level)


def _needed(
    ones: Sequence[Comparison],
    borders: Sequence[float],
    confidence: float,
    tried: int,
) -> Needed:
    return [one.seeds_to_exclude(borders, confidence, tried) for one in ones]


def _seeds(shown: _Tested, any_of: Needed, all_of: Needed) -> SeedsNeeded:
    """Seeds until one of the first is clear or, if there are none, all of the others.

    More than there are: as it is, they do not decide.
    """
    known = [n for n in any_of or all_of if n is not None]
    if not any_of and not all_of:
        return None
    if not known or (not any_of and len(known) < len(all_of)):
        return NOT_REACHABLE
    return max(min(known) if any_of else max(known), shown.one.n + 1)


def _finding(
    evidence: Evidence,
    verdict: Outcome,
    shown: _Tested,
    what: str,
    remarks: Sequence[str],
    seeds_needed: SeedsNeeded,
) -> Finding:
    one, interval, n = shown.one, shown.interval, shown.one.n
    ends = f"[{signed(interval.low)}, {signed(interval.high)}]"
    text = f"{what}: {signed(one.mean)} {ends} ({shown.level}), {n} pairs of seeds."
    if n < shown.fewest:
        text += (
            f" No p below 0.05 exists with {n} pairs, the fewest are {shown.fewest}."
        )
    return Finding(
        verdict=verdict,
        measure=evidence.measure,
        reason=" ".join([text, *remarks]),
        effect=one.mean,
        interval=interval,
        n=n,
        p=shown.p,
        seeds_needed=seeds_needed,
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
