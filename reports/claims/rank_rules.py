"""The rules that look at the order of arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablations.study.claims import LikePaper, Trend
from reports.claims.evidence import (
    NOT_REACHABLE,
    Evidence,
    Finding,
    Outcome,
)
from reports.statistics.inference import Interval
from reports.statistics.ranks import RankCorrelation, rank_correlation, seeds_to_order
from reports.tables.paper import paper_goodness
from reports.tables.wording import signed

TAU = "Kendall's tau-b"
LEAST_ARMS = 3
"""Two arms have only two orders."""


def trend(rule: Trend, evidence: Evidence) -> Finding:
    """The metric gets better, or worse, along the arms."""
    arms = list(rule.arms) or evidence.own_arms
    step = 1.0 if rule.direction == "rises" else -1.0
    order = {arm: step * place for place, arm in enumerate(arms)}
    words = "order of arms, later better" if step > 0 else "order of arms, later worse"
    return _ranked(evidence, arms, order, f"{TAU} with the {words}")


def like_paper(rule: LikePaper, evidence: Evidence) -> Finding:
    """Our arms rank like the paper's numbers, as far as those can be told apart.

    Two of them that differ by no more than twice the reading error are tied.
    """
    paper = paper_goodness(evidence.manifest)
    arms = [arm for arm in evidence.own_arms if arm in paper]
    measure = f"{TAU} with the paper's numbers"
    return _ranked(evidence, arms, paper, measure, evidence.paper_tolerance)


def _ranked(
    evidence: Evidence,
    arms: Sequence[str],
    order: Mapping[str, float],
    measure: str,
    tolerance: float = 0.0,
) -> Finding:
    if len(arms) < LEAST_ARMS:
        why = f"an order needs {LEAST_ARMS} arms, there are {len(arms)}."
        return Finding("undecided", measure, why)
    trouble = [why for arm in arms if (why := evidence.trouble(arm))]
    if trouble:
        return Finding("undecided", measure, f"{'; '.join(trouble)}.")
    correlation = rank_correlation(
        evidence.goodness(arms), order, evidence.generator(), tolerance, evidence.alpha
    )
    if correlation is None:
        why = "no seed is common to all arms, or all arms are alike."
        return Finding("undecided", measure, why)
    tied = f" The paper's values up to {2 * tolerance:g} apart are tied."
    return _rank_finding(correlation, measure, tied * (tolerance > 0.0), evidence)


def _rank_finding(
    correlation: RankCorrelation, measure: str, remark: str, evidence: Evidence
) -> Finding:
    interval, p = correlation.interval, correlation.p
    if interval is None or p is None:
        why = "one common seed: no interval."
        return Finding(
            "undecided", measure, why, effect=correlation.tau, n=correlation.n
        )
    verdict = _rank_verdict(interval, evidence.is_clear(p))
    ends = f"[{signed(interval.low)}, {signed(interval.high)}]"
    percent = f"{100 * evidence.confidence:.4g} %"
    seeds = f"{correlation.num_arms} arms over {correlation.n} common seeds"
    return Finding(
        verdict=verdict,
        measure=measure,
        reason=(
            f"{seeds}: {signed(correlation.tau)} {ends} ({percent}, seeds resampled), "
            f"p {p:.2g} when arms are permuted within seeds; both must be clear of "
            f"chance.{remark}"
        ),
        effect=correlation.tau,
        interval=interval,
        n=correlation.n,
        p=p,
        seeds_needed=None
        if verdict != "undecided" or not evidence.plans_ahead
        else seeds_to_order(correlation, evidence.generator()) or NOT_REACHABLE,
    )


def _rank_verdict(interval: Interval, is_clear: bool) -> Outcome:
    if is_clear and interval.low > 0.0:
        return "supported"
    if is_clear and interval.high < 0.0:
        return "contradicted"
    return "undecided"
