"""Whether what was measured speaks for a claim at all, however weakly."""

from __future__ import annotations

from ablations.study.claims import Alike, Better, Collapses, NearlyBest, Rule
from reports.claims.evidence import Finding


def points_away(rule: Rule, finding: Finding) -> bool:
    """Whether the effect lies beyond the border where the claim would be false.

    More seeds would then rather contradict it, so how many it needs is not said.
    """
    effect = finding.effect
    if effect is None:
        return False
    match rule:
        case Better():
            return effect <= rule.by
        case NearlyBest():
            return effect < -rule.within
        case Alike():
            return abs(effect) > rule.within
        case Collapses():
            return effect < 0.5
        case _:
            return effect < 0.0
