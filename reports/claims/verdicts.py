"""The verdict of a study on a claim: supported, contradicted or undecided.

The rules are :mod:`ablations.study.claims`, what counts as evidence
:mod:`reports.claims.evidence`.
Only differences between arms on the same seeds, their signs, and orders of arms are
looked at, never a level, and never a number of the paper but for its order.
"""

from __future__ import annotations

from dataclasses import dataclass

from ablations.record import Manifest
from ablations.study.claims import Claim
from reports.claims.apply import apply_rule
from reports.claims.direction import points_away
from reports.claims.evidence import (
    Evidence,
    MoreDraws,
    Outcome,
    SeedsNeeded,
)
from reports.claims.looks import LookedAt, look_at
from reports.statistics.summary import StudyResult


@dataclass(frozen=True)
class Verdict:
    """The outcome of one claim, with the numbers it rests on.

    Attributes:
        claim: Its id.
        says: The sentence.
        where: In the paper.
        verdict: The outcome.
        measure: Name of the effect, with unit; positive, or a share above one half,
            speaks for the claim.
        effect: None where it could not be measured.
        low: Lower end of its interval.
        high: Upper end.
        n: Seeds, or pairs of seeds, behind it.
        p: That of the test named in the reason.
        reason: A few sentences: which arms, which interval, what is in the way.
        seeds_needed: Seeds in all that would settle it, if effect and spread stay
            as measured; None where it is settled or nothing can be said.
        more_draws: How many do with more label draws in every trial, if that is fewer
            and known.
        is_share: The effect is a share of seeds, between 0 and 1, and has no sign.
        look: Seeds of the planned look that it is the verdict of; 0: there is none.
        points_away: The effect speaks against the claim; people are not told then how
            many seeds would settle it.
    """

    claim: str
    says: str
    where: str
    verdict: Outcome
    measure: str
    effect: float | None
    low: float | None
    high: float | None
    n: int
    p: float | None
    reason: str
    seeds_needed: SeedsNeeded
    more_draws: MoreDraws | None = None
    is_share: bool = False
    look: int = 0
    points_away: bool = False


def claims_of(manifest: Manifest) -> list[Claim]:
    """The claims a study makes about its modality."""
    claims = [Claim.model_validate(data) for data in manifest.study.get("claims", [])]
    return [
        claim
        for claim in claims
        if not claim.modalities or manifest.modality in claim.modalities
    ]


def study_verdicts(result: StudyResult, manifest: Manifest) -> tuple[Verdict, ...]:
    """The verdict on every claim, in the study's order.

    Where looks were planned, the one of :mod:`reports.claims.looks`.
    """
    claims = claims_of(manifest)
    if manifest.looks:
        return tuple(_verdict(c, look_at(c, result, manifest)) for c in claims)
    evidence = Evidence(result, manifest)
    return tuple(
        _verdict(claim, LookedAt(apply_rule(claim.test, evidence), 0))
        for claim in claims
    )


def _verdict(claim: Claim, looked_at: LookedAt) -> Verdict:
    finding = looked_at.finding
    interval = finding.interval
    return Verdict(
        claim=claim.id,
        says=claim.says,
        where=claim.where,
        verdict=finding.verdict,
        measure=finding.measure,
        effect=finding.effect,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n=finding.n,
        p=finding.p,
        reason=finding.reason,
        seeds_needed=finding.seeds_needed if finding.verdict == "undecided" else None,
        more_draws=finding.more_draws,
        is_share=finding.is_share,
        look=looked_at.look,
        points_away=points_away(claim.test, finding),
    )
