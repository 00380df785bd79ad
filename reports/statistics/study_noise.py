"""Where the noise of a study comes from: of every arm, every difference, and of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.statistics.noise import (
    Noise,
    Unknown,
    draw_differences,
    noise_of,
    pooled,
)
from reports.statistics.summary import ArmResult, StudyResult


@dataclass(frozen=True)
class NoiseRow:
    """The noise of one number, or of several of a kind.

    Attributes:
        arm: Its arm; empty where several are pooled.
        other: The arm it is compared with; empty for the score itself.
        noise: The components, or why there are none.
        left_out: Trials, or pairs of trials, with a value that tell nothing: collapsed,
            or without the same number of draws as the others.
    """

    arm: str
    other: str
    noise: Noise | Unknown
    left_out: int


@dataclass(frozen=True)
class StudyNoise:
    """The noise of all numbers of a study.

    Attributes:
        scores: One row per arm.
        differences: One row per arm but the baseline; empty without a baseline.
        all_scores: Pooled over the study's own arms, or all if it has no other; of one
            alone its own row.
        all_differences: The same of the differences; None without any.
    """

    scores: tuple[NoiseRow, ...]
    differences: tuple[NoiseRow, ...]
    all_scores: NoiseRow
    all_differences: NoiseRow | None

    @property
    def headline(self) -> NoiseRow:
        """What the study is about: its differences, else its scores."""
        return self.all_differences or self.all_scores


def study_noise(result: StudyResult) -> StudyNoise | None:
    """The noise of a study; None where no trial has told of its draws."""
    if not any(seed.draws for arm in result.arms for seed in arm.seeds):
        return None
    scores = tuple(
        NoiseRow(arm.label, "", noise_of(arm.draws), len(arm.values) - len(arm.draws))
        for arm in result.arms
    )
    baseline = result.arm(result.baseline) if result.baseline else None
    compared = [arm for arm in result.arms if baseline and arm is not baseline]
    differences = tuple(
        _difference(arm, baseline) for arm in compared if baseline is not None
    )
    return StudyNoise(
        scores,
        differences,
        _pooled(scores, result),
        _pooled(differences, result) if differences else None,
    )


def difference_noise(arm: ArmResult, other: ArmResult) -> Noise | Unknown:
    """The components of the difference of two arms."""
    return noise_of(draw_differences(arm.draws, other.draws))


def _difference(arm: ArmResult, other: ArmResult) -> NoiseRow:
    draws = draw_differences(arm.draws, other.draws)
    left_out = len(arm.values.keys() & other.values.keys()) - len(draws)
    return NoiseRow(arm.label, other.label, noise_of(draws), left_out)


def _pooled(rows: Sequence[NoiseRow], result: StudyResult) -> NoiseRow:
    """The rows as one, or the only one that is known.

    References are left out: a claim is about the others.
    """
    references = {arm.label for arm in result.arms if arm.is_reference}
    own = [row for row in rows if row.arm not in references] or list(rows)
    known = [row for row in own if isinstance(row.noise, Noise)]
    if len(known) == 1:
        return known[0]
    left_out = sum(row.left_out for row in own)
    return NoiseRow("", own[0].other, pooled(row.noise for row in own), left_out)
