"""From a tidy frame to means, intervals and paired differences; numbers only.

Seeds are paired across arms: the same seed means the same initial weights, data order,
masks, augmentation and labelled subset, so a difference between arms is the mean of the
differences seed by seed (design, "Statistics").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd
from scipy.stats import t as student_t

from ablations.metrics import METRICS, Metric
from ablations.record import Manifest

CONFIDENCE = 0.95
UNTRAINED = "untrained"
COUNTED = ("finished", "collapsed")
"""A collapsed trial is a result: leaving it out would flatter the arm."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its Student-t interval.

    Attributes:
        mean: Over the seeds.
        half_width: Of the 95 % interval; None for one seed, which has no interval.
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
        status: As in :func:`reports.store.trial_frame`.
        reason: Why it is not simply finished.
        value: The metric that counts; None where there is none.
    """

    seed: int
    status: str
    reason: str
    value: float | None


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
        gain: To the untrained arm, likewise.
    """

    label: str
    is_reference: bool
    seeds: tuple[SeedResult, ...]
    mean: Estimate | None
    difference: Estimate | None
    gain: Estimate | None

    @property
    def values(self) -> dict[int, float]:
        """The metric by seed, of the seeds that have one."""
        return _values(self.seeds)

    @property
    def num_collapsed(self) -> int:
        """Seeds that collapsed."""
        return sum(seed.status == "collapsed" for seed in self.seeds)


@dataclass(frozen=True)
class StudyResult:
    """All arms of a study.

    Attributes:
        metric: What the numbers are.
        baseline: Arm of :attr:`ArmResult.difference`; None: there is none.
        untrained: Arm of :attr:`ArmResult.gain`; None: there is none, or it is already
            the baseline.
        arms: In the order of the study.
    """

    metric: Metric
    baseline: str | None
    untrained: str | None
    arms: tuple[ArmResult, ...]


def study_result(frame: pd.DataFrame, manifest: Manifest) -> StudyResult:
    """Every statistic of a study.

    Args:
        frame: As from :func:`reports.store.trial_frame`.
        manifest: The planned study.
    """
    metric = METRICS[manifest.modality][manifest.metric]
    seeds = {
        arm.label: seed_results(frame[frame["arm"] == arm.label], metric)
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
    return StudyResult(metric, baseline, untrained, arms)


def seed_results(rows: pd.DataFrame, metric: Metric) -> tuple[SeedResult, ...]:
    """The trials of one arm; a done trial without a finite metric has no value."""
    results = []
    for row in rows.to_dict("records"):
        status, reason = str(row["status"]), str(row["reason"])
        number = float(row.get(metric.logged_as, math.nan))
        counts = status in COUNTED and math.isfinite(number)
        if status in COUNTED and not counts:
            lacking = f"no finite {metric.logged_as} was logged"
            reason = f"{reason}; {lacking}" if reason else lacking
        value = number if counts else None
        results.append(SeedResult(int(row["seed"]), status, reason, value))
    return tuple(results)


def estimate(values: Iterable[float]) -> Estimate | None:
    """Mean and 95 % Student-t interval; None without values."""
    numbers = list(values)
    n = len(numbers)
    if n == 0:
        return None
    mean = fmean(numbers)
    if n == 1:
        return Estimate(mean, None, 1)
    quantile = float(student_t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    return Estimate(mean, quantile * stdev(numbers) / math.sqrt(n), n)


def paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float]
) -> Estimate | None:
    """Mean of ``values - baseline`` over the seeds both have; None without any."""
    common = sorted(values.keys() & baseline.keys())
    return estimate(values[seed] - baseline[seed] for seed in common)


def _values(seeds: Iterable[SeedResult]) -> dict[int, float]:
    return {seed.seed: seed.value for seed in seeds if seed.value is not None}
