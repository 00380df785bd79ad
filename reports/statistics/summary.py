"""From a tidy frame to means, intervals and paired differences; numbers only.

Seeds are paired across arms: the same seed means the same initial weights, data order,
masks, augmentation and labelled subset, so a difference between arms is the mean of the
differences seed by seed (design, "Statistics").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

import numpy as np
import pandas as pd

from ablations.metrics import RANKME, Metric, manifest_metric
from ablations.record import DONE, Manifest
from reports.statistics.inference import (
    CONFIDENCE,
    LARGEST,
    MIN_PAIRS,
    Interval,
    bootstrap_interval,
    half_width,
    holm,
    paired_differences,
    sign_flip_p,
)

UNTRAINED = "untrained"
COUNTED = DONE
"""A collapsed trial is a result: leaving it out would flatter the arm."""
RESAMPLING_SEED = 20_220_207
"""Seed of every resampling, so that a report depends on the store alone."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its Student-t interval.

    Attributes:
        mean: Over the seeds.
        half_width: Half the 95 % interval; None for one seed, which has no interval.
        n: Seeds, or pairs of seeds.
    """

    mean: float
    half_width: float | None
    n: int

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        return None if self.half_width is None else self.mean + self.half_width


@dataclass(frozen=True)
class SeedResult:
    """One trial of an arm.

    Attributes:
        seed: Its seed.
        status: As in :func:`reports.store.frames.trial_frame`.
        reason: Why it is not simply finished.
        value: The metric that counts; None where there is none.
        draws: The metric at each label draw; empty where the trial does not tell.
        rank: RankMe of the features; None where there is none.
    """

    seed: int
    status: str
    reason: str
    value: float | None
    draws: tuple[float, ...] = ()
    rank: float | None = None


@dataclass(frozen=True)
class ArmResult:
    """One arm over its seeds.

    Attributes:
        label: Row name.
        is_reference: Untrained or supervised.
        seeds: Every planned seed, in order.
        mean: None without any value.
        difference: To the baseline arm over the common seeds; None for the baseline
            itself and where there is no common seed.
        gain: To the untrained arm, over the common seeds.
        bootstrap: Interval of the mean, beside the t interval.
        difference_bootstrap: Interval of the difference, beside its t interval.
        p: Exact sign-flip p of the difference, Holm-adjusted over the study's own arms;
            None where nothing is compared or the arm is a reference.
    """

    label: str
    is_reference: bool
    seeds: tuple[SeedResult, ...]
    mean: Estimate | None
    difference: Estimate | None
    gain: Estimate | None
    bootstrap: Interval | None = None
    difference_bootstrap: Interval | None = None
    p: float | None = None

    @cached_property
    def values(self) -> dict[int, float]:
        """The metric by seed, of the seeds that have one."""
        return _values(self.seeds)

    @cached_property
    def ranks(self) -> dict[int, float]:
        """RankMe by seed, of the seeds that have one."""
        return {seed.seed: seed.rank for seed in self.seeds if seed.rank is not None}

    @cached_property
    def draws(self) -> dict[int, tuple[float, ...]]:
        """The metric at each label draw, of the seeds whose draws are noise alone.

        A collapse is an outcome, not noise.
        """
        return {
            seed.seed: seed.draws
            for seed in self.seeds
            if seed.value is not None and seed.draws and seed.status == "finished"
        }

    @property
    def num_collapsed(self) -> int:
        """Seeds that collapsed."""
        return self.num("collapsed")

    def num(self, *statuses: str) -> int:
        """Seeds of these statuses."""
        return sum(seed.status in statuses for seed in self.seeds)


@dataclass(frozen=True)
class StudyResult:
    """All arms of a study.

    Attributes:
        metric: The metric of all numbers.
        baseline: Arm of :attr:`ArmResult.difference`; None: there is none.
        untrained: Arm of :attr:`ArmResult.gain`; None: there is none, or it is already
            the baseline.
        arms: In the order of the study.
    """

    metric: Metric
    baseline: str | None
    untrained: str | None
    arms: tuple[ArmResult, ...]

    @property
    def has_tests(self) -> bool:
        """Whether an arm has pairs enough for a p below 0.05 to exist."""
        return any(
            arm.p is not None and arm.difference and arm.difference.n >= MIN_PAIRS
            for arm in self.arms
        )

    @property
    def sign(self) -> float:
        """Times a difference: positive is better."""
        return 1.0 if self.metric.higher_is_better else -1.0

    def arm(self, label: str) -> ArmResult | None:
        """The arm of this name."""
        return self._arms.get(label)

    @cached_property
    def _arms(self) -> dict[str, ArmResult]:
        return {arm.label: arm for arm in self.arms}


def study_result(frame: pd.DataFrame, manifest: Manifest) -> StudyResult:
    """Every statistic of a study.

    Args:
        frame: As from :func:`reports.store.frames.trial_frame`.
        manifest: The planned study.
    """
    metric = manifest_metric(manifest)
    rows = dict(list(frame.groupby("arm", sort=False)))
    seeds = {
        arm.label: seed_results(rows.get(arm.label, frame.head(0)), metric)
        for arm in manifest.arms
    }
    baseline = manifest.study.get("baseline")
    baseline = baseline if baseline in seeds else None
    has_untrained = UNTRAINED in seeds and baseline != UNTRAINED
    untrained = UNTRAINED if has_untrained else None

    def against(label: str, other: str | None) -> Estimate | None:
        if other is None or label == other:
            return None
        return paired_difference(_values(seeds[label]), _values(seeds[other]))

    arms = tuple(
        ArmResult(
            label=arm.label,
            is_reference=arm.is_reference,
            seeds=seeds[arm.label],
            mean=estimate(_values(seeds[arm.label]).values()),
            difference=against(arm.label, baseline),
            gain=against(arm.label, untrained),
        )
        for arm in manifest.arms
    )
    baseline_values = _values(seeds[baseline]) if baseline else {}
    return StudyResult(metric, baseline, untrained, _tested(arms, baseline_values))


def _tested(
    arms: tuple[ArmResult, ...], baseline: Mapping[int, float]
) -> tuple[ArmResult, ...]:
    """The arms with bootstrap intervals and adjusted p."""
    done = []
    p_values: dict[str, float] = {}
    for number, arm in enumerate(arms):
        generator = np.random.default_rng([RESAMPLING_SEED, number])
        differences = (
            paired_differences(arm.values, baseline) if arm.difference else np.empty(0)
        )
        p = sign_flip_p(differences, generator)
        if p is not None and not arm.is_reference:
            p_values[arm.label] = p
        done.append(
            replace(
                arm,
                bootstrap=bootstrap_interval(list(arm.values.values()), generator),
                difference_bootstrap=bootstrap_interval(differences, generator),
            )
        )
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return tuple(replace(arm, p=adjusted.get(arm.label)) for arm in done)


def seed_results(rows: pd.DataFrame, metric: Metric) -> tuple[SeedResult, ...]:
    """The trials of one arm; a done trial without a finite metric has no value."""
    results = []
    for row in rows.to_dict("records"):
        status, reason = str(row["status"]), str(row["reason"])
        number = float(row.get(metric.logged_as, math.nan))
        counts = status in COUNTED and abs(number) <= LARGEST  # not so for NaN
        if status in COUNTED and not counts:
            lacking = f"no finite {metric.logged_as} was logged"
            reason = f"{reason}; {lacking}" if reason else lacking
        value = number if counts else None
        draws = tuple(row.get("draws", ()))
        rank = float(row.get(RANKME.logged_as, math.nan))
        results.append(
            SeedResult(
                seed=int(row["seed"]),
                status=status,
                reason=reason,
                value=value,
                draws=draws,
                rank=rank if status in COUNTED and abs(rank) <= LARGEST else None,
            )
        )
    return tuple(results)


def estimate(values: Iterable[float]) -> Estimate | None:
    """Mean and 95 % Student-t interval; None without values."""
    numbers = list(values)
    n = len(numbers)
    if n == 0:
        return None
    mean = fmean(numbers)
    return Estimate(mean, half_width(numbers, CONFIDENCE) if n > 1 else None, n)


def paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float]
) -> Estimate | None:
    """Mean of ``values - baseline`` over the seeds both have; None without any."""
    return estimate(paired_differences(values, baseline).tolist())


def _values(seeds: Iterable[SeedResult]) -> dict[int, float]:
    return {seed.seed: seed.value for seed in seeds if seed.value is not None}
