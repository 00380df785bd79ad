"""Which function tests which rule of a claim, and which arms it looks at."""

from __future__ import annotations

from typing import Any

from ablations.study.claims import (
    SINGLE_ARMS,
    Alike,
    Better,
    Collapses,
    LikePaper,
    NearlyBest,
    Trend,
)
from reports.claims import collapse_rule, rank_rules, rules
from reports.claims.evidence import Evidence, Finding
from reports.tables.paper import paper_goodness


def apply_rule(rule: Any, evidence: Evidence) -> Finding:
    """What a rule of :mod:`ablations.study.claims` finds."""
    match rule:
        case Better():
            return rules.better(rule, evidence)
        case NearlyBest():
            return rules.nearly_best(rule, evidence)
        case Alike():
            return rules.alike(rule, evidence)
        case Trend():
            return rank_rules.trend(rule, evidence)
        case LikePaper():
            return rank_rules.like_paper(rule, evidence)
        case Collapses():
            return collapse_rule.collapses(rule, evidence)
    raise AssertionError(f"a rule without evaluation: {rule!r}")


def arms_needed(rule: Any, evidence: Evidence) -> set[str]:
    """The arms of the study whose results a rule looks at."""
    named = {getattr(rule, field, None) for field in SINGLE_ARMS}
    match rule:
        case Better(arm=None) | NearlyBest():
            named |= set(evidence.own_arms)
        case Alike() | Trend():
            named |= set(rule.arms or evidence.own_arms)
        case LikePaper():
            named |= set(evidence.own_arms) & paper_goodness(evidence.manifest).keys()
    return {arm.label for arm in evidence.result.arms if arm.label in named}
