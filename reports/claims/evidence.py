"""Evidence for the rules of claims: arms compared on the seeds they share.

A trial that collapsed or diverged makes every comparison with its arm undecided: its
value says what a dead network scores, and leaving it out would flatter the arm. The arm
that a claim wants beaten may collapse: what was measured of it counts, since being
unusable is one way to be worse. Trials that failed otherwise, or have not run, only
make the sample smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ablations.record import Manifest, Status
from reports.statistics.inference import (
    ALPHA,
    Floats,
    Interval,
    paired_differences,
    t_half_width,
)
from reports.statistics.noise import Noise
from reports.statistics.study_noise import difference_noise
from reports.statistics.summary import RESAMPLING_SEED, ArmResult, StudyResult
from reports.tables.paper import paper_numbers
from reports.tables.wording import counted

Outcome = Literal["supported", "contradicted", "undecided"]
SeedsNeeded = int | Literal["not reachable below 1000"] | None
NOT_REACHABLE: Literal["not reachable below 1000"] = "not reachable below 1000"
DEAD: tuple[Status, ...] = ("collapsed", "diverged")
"""Statuses of trials whose value says nothing about their arm's setting."""


@dataclass(frozen=True)
class MoreDraws:
    """What more label draws in every trial, old ones too, would save.

    Attributes:
        num_draws: Label draws of each trial.
        seeds: Seeds in all that would do with them.
    """

    num_draws: int
    seeds: int


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
    more_draws: MoreDraws | None = None
    is_share: bool = False


@dataclass(frozen=True)
class Comparison:
    """One arm against another on the seeds both have.

    Attributes:
        arm: The arm.
        other: The arm it is compared with.
        differences: By seed, positive where ``arm`` is better.
        trouble: Why they cannot be compared; empty where they can.
        both: The two arms, where they can be compared.
    """

    arm: str
    other: str
    differences: Floats
    trouble: str
    both: tuple[ArmResult, ArmResult] | None = None

    @cached_property
    def noise(self) -> Noise | None:
        """What part of the spread label draws cause; None where that is not known."""
        measured = None if self.both is None else difference_noise(*self.both)
        return measured if isinstance(measured, Noise) else None

    @cached_property
    def mean(self) -> float:
        """Mean of the differences."""
        return float(self.differences.mean())

    @property
    def n(self) -> int:
        """Pairs of seeds."""
        return len(self.differences)

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the differences."""
        return float(self.differences.std(ddof=1))

    def interval(self, confidence: float) -> Interval:
        """Student-t interval of the mean difference."""
        assert self.n > 1, "a comparison without trouble has two pairs"
        half = t_half_width(self.spread, self.n, confidence)
        return Interval(self.mean - half, self.mean + half, "t")

    def clearness(
        self, borders: Sequence[float], num_draws: int | None = None
    ) -> float:
        """Distance from the mean to the nearest border, in standard deviations.

        Args:
            borders: At least one.
            num_draws: Label draws of a trial, if other than there are; then the noise
                must be known.
        """
        distance = min(abs(self.mean - border) for border in borders)
        spread = self.spread
        if num_draws is not None:
            assert self.noise is not None, "asked for where it is known"
            spread *= self.noise.shrinkage(num_draws)
        if spread == 0.0:
            return math.inf if distance > 0.0 else 0.0
        return distance / spread


@dataclass(frozen=True)
class Evidence:
    """The results of a study as the rules need them."""

    result: StudyResult
    manifest: Manifest
    alpha: float = ALPHA
    """Level that a p must stay below; smaller where one of several looks is taken."""
    plans_ahead: bool = True
    """Whether an undecided rule says how many seeds would do; simulations need not."""

    def is_clear(self, p: float) -> bool:
        """Whether a p is small enough to decide."""
        return p < self.alpha

    @property
    def confidence(self) -> float:
        """That of an interval."""
        return 1.0 - self.alpha

    @property
    def equivalence_confidence(self) -> float:
        """That of an interval whose ends are tested one-sidedly."""
        return 1.0 - 2.0 * self.alpha

    def joint_confidence(self, tried: int) -> float:
        """Bonferroni's: so many intervals hold together with the confidence of one."""
        return 1.0 - (1.0 - self.confidence) / tried

    @property
    def measure(self) -> str:
        """Name of a difference between arms."""
        return f"difference in {self.result.metric.title}"

    @property
    def own_arms(self) -> list[str]:
        """Arms that are not references, in order."""
        return [arm.label for arm in self.result.arms if not arm.is_reference]

    @property
    def paper_tolerance(self) -> float:
        """Reading error of the paper's numbers; 0 where they were read as text."""
        paper = paper_numbers(self.manifest)
        return (paper.tolerance if paper else None) or 0.0

    def generator(self) -> np.random.Generator:
        """A new one, so that a verdict does not depend on those before it."""
        return np.random.default_rng(RESAMPLING_SEED)

    def compare(
        self, arm: str, other: str, *, other_may_collapse: bool = False
    ) -> Comparison:
        """Differences of two arms, or why there are none."""
        in_other = ("diverged",) if other_may_collapse else DEAD
        trouble = self.trouble(arm) or self.trouble(other, in_other)
        if trouble:
            return Comparison(arm, other, np.empty(0), trouble)
        first, second = self.arm(arm), self.arm(other)
        differences = self.result.sign * paired_differences(first.values, second.values)
        if len(differences) < 2:
            pairs = "no common seed" if len(differences) == 0 else "one common seed"
            trouble = f"{arm} and {other} have {pairs}: no interval"
        return Comparison(arm, other, differences, trouble, (first, second))

    def trouble(self, label: str, dead: Sequence[Status] = DEAD) -> str:
        """Why an arm is no evidence about what its setting does; empty if it is.

        Args:
            label: Name of the arm.
            dead: Statuses that a trial of the arm must not have.
        """
        arm = self.result.arm(label)
        if arm is None:
            return f"the study has no arm {label}"
        for status in dead:
            if arm.num(status):
                return _ended(arm, status)
        if not arm.values:
            statuses = sorted({seed.status for seed in arm.seeds})
            return f"{label} has no result ({', '.join(statuses) or 'not planned'})"
        return ""

    def collapsed(self, label: str) -> str:
        """In how many of its seeds an arm collapsed; empty if in none."""
        arm = self.arm(label)
        return _ended(arm, "collapsed") if arm.num("collapsed") else ""

    def goodness(self, labels: Sequence[str]) -> dict[str, dict[int, float]]:
        """Values by seed of each arm, positive better."""
        sign = self.result.sign
        return {
            label: {seed: sign * v for seed, v in self.arm(label).values.items()}
            for label in labels
        }

    def arm(self, label: str) -> ArmResult:
        """The arm of this name, which must be there."""
        arm = self.result.arm(label)
        assert arm is not None, "looked up before"
        return arm


def _ended(arm: ArmResult, status: Status) -> str:
    seeds = counted(len(arm.seeds), "seed")
    return f"{arm.label} {status} in {arm.num(status)} of {seeds}"
