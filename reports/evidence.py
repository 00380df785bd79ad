"""What the rules of claims look at: arms compared on the seeds they share.

A trial that collapsed or diverged makes every comparison with its arm undecided: its
value says what a dead network scores, and leaving it out would flatter the arm. Trials
that failed otherwise, or have not run, only make the sample smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ablations.record import Manifest
from reports.inference import Floats, Interval, paired_differences, t_interval
from reports.statistics import RESAMPLING_SEED, ArmResult, StudyResult

Outcome = Literal["supported", "contradicted", "undecided"]
SeedsNeeded = int | Literal["not reachable below 1000"] | None
NOT_REACHABLE: Literal["not reachable below 1000"] = "not reachable below 1000"


@dataclass(frozen=True)
class Finding:
    """A rule's answer, before it is joined with its claim."""

    verdict: Outcome
    measure: str
    reason: str
    effect: float | None = None
    interval: Interval | None = None
    n: int = 0
    p: float | None = None
    seeds_needed: SeedsNeeded = None


@dataclass(frozen=True)
class Comparison:
    """One arm against another on the seeds both have.

    Attributes:
        arm: The arm.
        other: What it is compared with.
        differences: By seed, positive where ``arm`` is better.
        trouble: Why they cannot be compared; empty where they can.
    """

    arm: str
    other: str
    differences: Floats
    trouble: str

    @property
    def mean(self) -> float:
        """Of the differences."""
        return float(self.differences.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the differences."""
        return float(self.differences.std(ddof=1))

    def interval(self, confidence: float) -> Interval:
        """Student-t interval of the mean difference."""
        found = t_interval(self.differences, confidence)
        assert found is not None, "a comparison without trouble has two pairs"
        return found


@dataclass(frozen=True)
class Evidence:
    """The results of a study as the rules need them."""

    result: StudyResult
    manifest: Manifest

    @property
    def measure(self) -> str:
        """What a difference between arms is."""
        return f"difference in {self.result.metric.title}"

    @property
    def own_arms(self) -> list[str]:
        """Arms that are not references, in order."""
        return [arm.label for arm in self.result.arms if not arm.is_reference]

    def generator(self) -> np.random.Generator:
        """A new one, so that a verdict does not depend on those before it."""
        return np.random.default_rng(RESAMPLING_SEED)

    def compare(self, arm: str, other: str) -> Comparison:
        """Differences of two arms, or why there are none."""
        trouble = self.trouble(arm) or self.trouble(other)
        if trouble:
            return Comparison(arm, other, np.empty(0), trouble)
        first, second = self._arm(arm), self._arm(other)
        differences = self.result.sign * paired_differences(first.values, second.values)
        if len(differences) < 2:
            pairs = "no common seed" if len(differences) == 0 else "one common seed"
            trouble = f"{arm} and {other} have {pairs}: no interval"
        return Comparison(arm, other, differences, trouble)

    def trouble(self, label: str) -> str:
        """Why an arm is no evidence about what its setting does; empty if it is."""
        arm = self.result.arm(label)
        if arm is None:
            return f"the study has no arm {label}"
        for status in ("collapsed", "diverged"):
            if count := arm.num(status):
                return f"{label} {status} in {count} of {len(arm.seeds)} seeds"
        if not arm.values:
            statuses = sorted({seed.status for seed in arm.seeds})
            return f"{label} has no result ({', '.join(statuses) or 'not planned'})"
        return ""

    def goodness(self, labels: Sequence[str]) -> dict[str, dict[int, float]]:
        """Values by seed of each arm, positive better."""
        sign = self.result.sign
        return {
            label: {seed: sign * v for seed, v in self._arm(label).values.items()}
            for label in labels
        }

    def _arm(self, label: str) -> ArmResult:
        arm = self.result.arm(label)
        assert arm is not None, "looked up before"
        return arm
