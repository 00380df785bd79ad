"""A claim judged at planned numbers of seeds: the first look that decides it counts.

The verdict is a function of store and looks alone, whatever was run when: at each look
that is reached, the claim is judged on the first so many planned seeds, at that look's
level. Seeds beyond the look that decided are not looked at, as they would not exist had
their arm stopped there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from ablations.record import Manifest
from ablations.study.claims import Claim
from reports.claims.apply import apply_rule, arms_needed
from reports.claims.evidence import Evidence, Finding
from reports.statistics.inference import ALPHA
from reports.statistics.spending import nominal_levels
from reports.statistics.summary import StudyResult
from reports.tables.wording import counted

PENDING = ("missing", "unfinished")
"""Statuses of trials that a look waits for. One that failed ended, too: its seed makes
the sample smaller."""


@dataclass(frozen=True)
class LookedAt:
    """What the looks at a claim have found.

    Attributes:
        finding: Finding of the look that decided, else of the last one; without a look
            undecided, with the numbers there are.
        look: Seeds of that look; 0: none was reached.
    """

    finding: Finding
    look: int

    @property
    def is_decided(self) -> bool:
        """Whether no further look is taken."""
        return self.finding.verdict != "undecided"

    @property
    def is_hopeless(self) -> bool:
        """Whether all trials ended and yet nothing could be measured.

        An arm diverged, say, or has no numbers of the paper: no seed changes that.
        """
        return self.look > 0 and not self.is_decided and self.finding.effect is None


def look_at(
    claim: Claim, result: StudyResult, manifest: Manifest, *, plans_ahead: bool = True
) -> LookedAt:
    """Judge a claim at the looks of its study, of which there is one at least.

    Args:
        claim: The claim.
        result: The study with all its planned seeds.
        manifest: Says which looks were planned.
        plans_ahead: Whether an undecided one says how many seeds would do.
    """
    looks = manifest.looks
    levels = dict(zip(looks, nominal_levels(looks), strict=True))
    evidence = Evidence(result, manifest, plans_ahead=plans_ahead)
    seeds = planned_seeds(result)
    reached = list(_reached(claim, evidence, seeds))
    for look in reached:
        is_last = look == reached[-1]
        finding = apply_rule(
            claim.test,
            replace(
                evidence,
                result=first_seeds(result, seeds[:look]),
                alpha=levels[look],
                plans_ahead=plans_ahead and is_last,
            ),
        )
        if finding.verdict != "undecided" or is_last:
            return LookedAt(_told(finding, look, levels), look)
    # The numbers so far are shown; a verdict on them would be one look more.
    finding = apply_rule(claim.test, replace(evidence, alpha=levels[looks[0]]))
    why = f"No look was taken: the first is at {counted(looks[0], 'seed')}."
    return LookedAt(
        replace(finding, verdict="undecided", reason=f"{finding.reason} {why}"), 0
    )


def planned_seeds(result: StudyResult) -> list[int]:
    """The seeds of a study, in the order in which looks take them."""
    return sorted({seed.seed for arm in result.arms for seed in arm.seeds})


def first_seeds(result: StudyResult, seeds: Collection[int]) -> StudyResult:
    """The study as the rules see it, with these seeds alone."""
    chosen = set(seeds)
    arms = (
        replace(arm, seeds=tuple(s for s in arm.seeds if s.seed in chosen))
        for arm in result.arms
    )
    return replace(result, arms=tuple(arms))


def looks_sentence(manifest: Manifest) -> str:
    """When claims were looked at, for a caption; empty without looks."""
    if not manifest.looks:
        return ""
    *first, last = map(str, manifest.looks)
    at = f"{', '.join(first)} and {last}" if first else last
    levels = ", ".join(f"{level:.3g}" for level in nominal_levels(manifest.looks))
    return (
        f"Claims were judged at planned looks at {at} seeds, the first that decides "
        f"counts; the looks spend {ALPHA:g} together (Lan and DeMets' spending of "
        f"Pocock's type; two-sided level of each: {levels})"
    )


def _reached(claim: Claim, evidence: Evidence, seeds: list[int]) -> Iterator[int]:
    """The looks at which all trials that the claim needs have ended."""
    ended = [
        {seed.seed for seed in arm.seeds if seed.status not in PENDING}
        for label in arms_needed(claim.test, evidence)
        if (arm := evidence.result.arm(label)) is not None
    ]
    for look in evidence.manifest.looks:
        first = set(seeds[:look])
        if len(first) < look or not all(first <= of_arm for of_arm in ended):
            return
        yield look


def _told(finding: Finding, look: int, levels: dict[int, float]) -> Finding:
    """With the look in words."""
    decided = finding.verdict != "undecided"
    further = [later for later in levels if later > look]
    text = (
        f"{'Decided' if decided else 'Undecided'} at the look at {look} seeds, "
        f"level {levels[look]:.3g}."
    )
    if not decided:
        text += f" The next is at {further[0]}." if further else " It was the last."
    return replace(finding, reason=f"{finding.reason} {text}")
