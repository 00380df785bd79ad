"""The rules that look at the order of arms, and at how many seeds collapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ablations.claims import Collapses, LikePaper, Trend
from reports.evidence import NOT_REACHABLE, Evidence, Finding, SeedsNeeded
from reports.inference import (
    CONFIDENCE,
    MAX_SEEDS,
    MIN_PAIRS,
    share_interval,
    share_p,
)
from reports.paper import paper_goodness
from reports.ranks import RankCorrelation, rank_correlation, seeds_to_order
from reports.wording import signed

TAU = "Kendall's tau-b"
LEAST_ARMS = 3
"""Two arms have only two orders."""
ALPHA = 1.0 - CONFIDENCE


def trend(rule: Trend, evidence: Evidence) -> Finding:
    """The metric gets better, or worse, along the arms."""
    arms = list(rule.arms) or evidence.own_arms
    step = 1.0 if rule.direction == "rises" else -1.0
    order = {arm: step * place for place, arm in enumerate(arms)}
    words = "order of arms, later better" if step > 0 else "order of arms, later worse"
    return _ranked(evidence, arms, order, f"{TAU} with the {words}")


def like_paper(rule: LikePaper, evidence: Evidence) -> Finding:
    """Our arms rank like the paper's numbers."""
    paper = paper_goodness(evidence.manifest)
    arms = [arm for arm in evidence.own_arms if arm in paper]
    return _ranked(evidence, arms, paper, f"{TAU} with the paper's numbers")


def _ranked(
    evidence: Evidence, arms: Sequence[str], order: Mapping[str, float], measure: str
) -> Finding:
    if len(arms) < LEAST_ARMS:
        why = f"an order needs {LEAST_ARMS} arms, there are {len(arms)}."
        return Finding("undecided", measure, why)
    trouble = [why for arm in arms if (why := evidence.trouble(arm))]
    if trouble:
        return Finding("undecided", measure, f"{'; '.join(trouble)}.")
    found = rank_correlation(evidence.goodness(arms), order, evidence.generator())
    if found is None:
        why = "no seed is common to all arms, or all arms are alike."
        return Finding("undecided", measure, why)
    if found.interval is None or found.p is None:
        why = "one common seed: no interval."
        return Finding("undecided", measure, why, effect=found.tau, n=found.n)
    verdict = _rank_verdict(found)
    low, high = found.interval.low, found.interval.high
    return Finding(
        verdict=verdict,
        measure=measure,
        reason=(
            f"{len(arms)} arms over {found.n} common seeds: {signed(found.tau)} "
            f"[{signed(low)}, {signed(high)}] (95 %, seeds resampled), p {found.p:.2g} "
            "when arms are permuted within seeds; both must be clear of chance."
        ),
        effect=found.tau,
        interval=found.interval,
        n=found.n,
        p=found.p,
        seeds_needed=None
        if verdict != "undecided"
        else seeds_to_order(found, evidence.generator()) or NOT_REACHABLE,
    )


def _rank_verdict(
    found: RankCorrelation,
) -> Literal["supported", "contradicted", "undecided"]:
    assert found.interval is not None
    assert found.p is not None
    if found.p < ALPHA and found.interval.low > 0.0:
        return "supported"
    if found.p < ALPHA and found.interval.high < 0.0:
        return "contradicted"
    return "undecided"


def collapses(rule: Collapses, evidence: Evidence) -> Finding:
    """An arm collapses, or stays alive, in most seeds."""
    arm = evidence.result.arm(rule.arm)
    verb = "stay alive" if rule.never else "collapse"
    measure = f"share of seeds that {verb}"
    if arm is None:
        return Finding("undecided", measure, f"the study has no arm {rule.arm}.")
    collapsed, finished = arm.num("collapsed"), arm.num("finished")
    n = collapsed + finished
    if n == 0:
        return Finding("undecided", measure, f"{rule.arm} has no finished trial.")
    as_claimed = finished if rule.never else collapsed
    interval, p = share_interval(as_claimed, n), share_p(as_claimed, n)
    clear = p < ALPHA
    share = as_claimed / n
    left_out = len(arm.seeds) - n
    return Finding(
        verdict="undecided"
        if not clear
        else "supported"
        if share > 0.5
        else "contradicted",
        measure=measure,
        reason=(
            f"{rule.arm} collapsed in {collapsed} of {n} seeds; exact binomial test "
            "against one half."
            + (f" {MIN_PAIRS} seeds are the fewest that can show it." * (n < MIN_PAIRS))
            + (f" {left_out} seeds without a result are left out." * bool(left_out))
        ),
        effect=share,
        interval=interval,
        n=n,
        p=p,
        seeds_needed=None if clear else _share_seeds(share),
    )


def _share_seeds(share: float) -> SeedsNeeded:
    if share == 0.5:
        return NOT_REACHABLE
    for n in range(MIN_PAIRS, MAX_SEEDS):
        if share_p(round(share * n), n) < ALPHA:
            return n
    return NOT_REACHABLE
