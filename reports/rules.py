"""The rules that look at differences between arms.

Where a rule may pick one of several arms, intervals are Bonferroni's: 95 % for all of
them together. Where all of several comparisons must hold, each is at its own 95 %: a
conjunction of tests needs no correction (Berger 1982).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from ablations.claims import Alike, Better, NearlyBest
from reports.evidence import (
    NOT_REACHABLE,
    Comparison,
    Evidence,
    Finding,
    SeedsNeeded,
)
from reports.inference import (
    CONFIDENCE,
    MIN_PAIRS,
    Interval,
    equivalence_interval,
    equivalence_p,
    holm,
    seeds_to_exclude,
    sign_flip_p,
)
from reports.wording import signed


def better(rule: Better, evidence: Evidence) -> Finding:
    """One arm, or one of several, beats another by a margin."""
    candidates = (
        [rule.arm]
        if rule.arm is not None
        else [label for label in evidence.own_arms if label != rule.than]
    )
    tried = [evidence.compare(label, rule.than) for label in candidates]
    usable, trouble = _sorted_out(tried)
    if not usable:
        return _undecided(evidence, trouble)
    confidence = joint_confidence(len(tried))
    intervals = [one.interval(confidence) for one in usable]
    above = [i for i, interval in enumerate(intervals) if interval.low > rule.by]
    all_below = not trouble and all(i.high < rule.by for i in intervals)
    if above:
        shown = max(above, key=lambda i: intervals[i].low)
    else:
        shown = max(range(len(usable)), key=lambda i: usable[i].mean)
    missing = len(tried) - len(usable)
    p_values = [_p(one, rule.by, evidence) for one in usable] + [1.0] * missing
    border = signed(rule.by) if rule.by else "0"
    return Finding(
        verdict="supported" if above else "contradicted" if all_below else "undecided",
        measure=evidence.measure,
        effect=usable[shown].mean,
        interval=intervals[shown],
        n=len(usable[shown].differences),
        p=holm(p_values)[shown],
        reason=_sentence(
            f"{usable[shown].arm} minus {rule.than} against {border}",
            usable[shown],
            intervals[shown],
            _percent(confidence) + (f", {len(tried)} arms tried" * (len(tried) > 1)),
            trouble,
        ),
        seeds_needed=_to_beat(usable, rule.by, confidence, complete=not trouble),
    )


def nearly_best(rule: NearlyBest, evidence: Evidence) -> Finding:
    """An arm is at most a little worse than every other."""
    others = [label for label in evidence.own_arms if label != rule.arm]
    tried = [evidence.compare(rule.arm, label) for label in others]
    usable, trouble = _sorted_out(tried)
    if not usable:
        return _undecided(evidence, trouble or ["there is no other arm"])
    corrected = joint_confidence(len(tried))
    worst = min(usable, key=lambda one: one.mean)
    clearly_worse = [
        one for one in usable if one.interval(corrected).high < -rule.within
    ]
    holds = not trouble and all(
        one.interval(CONFIDENCE).low > -rule.within for one in usable
    )
    confidence = corrected if clearly_worse else CONFIDENCE
    if clearly_worse:
        worst = min(clearly_worse, key=lambda one: one.mean)
    interval = worst.interval(confidence)
    return Finding(
        verdict="contradicted"
        if clearly_worse
        else "supported"
        if holds
        else "undecided",
        measure=evidence.measure,
        effect=worst.mean,
        interval=interval,
        n=len(worst.differences),
        p=_p(worst, -rule.within, evidence),
        reason=_sentence(
            f"{rule.arm} minus {worst.other}, the arm it is furthest behind, against "
            f"{signed(-rule.within)}",
            worst,
            interval,
            _percent(confidence),
            trouble,
        ),
        seeds_needed=None
        if trouble
        else _for_all(usable, [-rule.within], CONFIDENCE, corrected, rule.within),
    )


def alike(rule: Alike, evidence: Evidence) -> Finding:
    """Every pair of arms is equivalent within a margin."""
    labels = list(rule.arms) or evidence.own_arms
    tried = [evidence.compare(*pair) for pair in combinations(labels, 2)]
    usable, trouble = _sorted_out(tried)
    if not usable:
        return _undecided(evidence, trouble or ["there is only one arm"])
    corrected, within = joint_confidence(len(tried)), rule.within
    apart = [one for one in usable if _outside(one.interval(corrected), within)]
    inside = [_equivalence(one) for one in usable]
    holds = not trouble and all(-within < i.low and i.high < within for i in inside)
    widest = max(apart or usable, key=lambda one: abs(one.mean))
    interval = widest.interval(corrected) if apart else _equivalence(widest)
    level = _percent(corrected) if apart else "90 %, for equivalence"
    p_values = [equivalence_p(one.differences, within) or 0.0 for one in usable]
    return Finding(
        verdict="contradicted" if apart else "supported" if holds else "undecided",
        measure=evidence.measure,
        effect=widest.mean,
        interval=interval,
        n=len(widest.differences),
        p=None if trouble else max(p_values),
        reason=_sentence(
            f"{widest.arm} minus {widest.other}, the pair furthest apart, against "
            f"±{within:g}",
            widest,
            interval,
            level,
            trouble,
        ),
        seeds_needed=None
        if trouble
        else _for_all(usable, [-within, within], 0.90, corrected, within),
    )


def joint_confidence(count: int) -> float:
    """Bonferroni's: so many intervals hold together with 95 %."""
    return 1.0 - (1.0 - CONFIDENCE) / count


def fewest(needed: Iterable[int | None]) -> SeedsNeeded:
    """The smallest of several numbers of seeds, if one can be reached."""
    known = [n for n in needed if n is not None]
    return min(known) if known else NOT_REACHABLE


def _to_beat(
    usable: Sequence[Comparison], by: float, confidence: float, *, complete: bool
) -> SeedsNeeded:
    """Seeds until one arm lies above, or, where all lie below, until all do."""
    needed = {
        one.arm: seeds_to_exclude(abs(one.mean - by), one.spread, confidence)
        for one in usable
    }
    above = [needed[one.arm] for one in usable if one.mean > by]
    if above:
        return fewest(above)
    if not complete:
        return None
    slowest = list(needed.values())
    return fewest([None if None in slowest else max(n or 0 for n in slowest)])


def _for_all(
    usable: Sequence[Comparison],
    margins: Sequence[float],
    confidence: float,
    corrected: float,
    within: float,
) -> SeedsNeeded:
    """Seeds until all lie inside the margins, or one lies outside."""

    def distance(one: Comparison) -> float:
        return min(abs(one.mean - margin) for margin in margins)

    two_sided = len(margins) > 1
    outside = [
        one for one in usable if one.mean < -within or (two_sided and one.mean > within)
    ]
    if outside:
        return fewest(
            seeds_to_exclude(distance(one), one.spread, corrected) for one in outside
        )
    needed = [seeds_to_exclude(distance(one), one.spread, confidence) for one in usable]
    return fewest([None if None in needed else max(n or 0 for n in needed)])


def _sorted_out(tried: Sequence[Comparison]) -> tuple[list[Comparison], list[str]]:
    """Comparisons that can be made, and what is in the way of the others."""
    usable = [one for one in tried if not one.trouble]
    return usable, list(dict.fromkeys(one.trouble for one in tried if one.trouble))


def _undecided(evidence: Evidence, trouble: Sequence[str]) -> Finding:
    return Finding("undecided", evidence.measure, f"{'; '.join(trouble)}.")


def _p(one: Comparison, value: float, evidence: Evidence) -> float:
    p = sign_flip_p(one.differences - value, evidence.generator())
    assert p is not None, "a comparison without trouble has two pairs"
    return p


def _equivalence(one: Comparison) -> Interval:
    found = equivalence_interval(one.differences)
    assert found is not None, "a comparison without trouble has two pairs"
    return found


def _outside(interval: Interval, margin: float) -> bool:
    return interval.low > margin or interval.high < -margin


def _percent(confidence: float) -> str:
    return f"{100 * confidence:.4g} %"


def _sentence(
    what: str,
    shown: Comparison,
    interval: Interval,
    level: str,
    trouble: Sequence[str],
) -> str:
    n = len(shown.differences)
    ends = f"[{signed(interval.low)}, {signed(interval.high)}]"
    text = f"{what}: {signed(shown.mean)} {ends} ({level}), {n} pairs of seeds."
    if n < MIN_PAIRS:
        text += f" No p below 0.05 exists with {n} pairs."
    if trouble:
        text += f" Left out: {'; '.join(trouble)}."
    return text
