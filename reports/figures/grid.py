"""Numbers of studies with many settings: sorted effects, main effects, the grid.

A main effect of a value is the mean over all arms that have it, seed by seed, so that
its interval knows of the pairing; a seed that lacks one of the arms is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ablations.record import Manifest
from reports.statistics.summary import ArmResult, Estimate, StudyResult, estimate
from reports.store.links import as_yaml

LEAST_ARMS = 5
"""Arms from which sorting them shows more than the table."""
MAX_SETTINGS = 40
"""Rows of the matrix of settings."""


@dataclass(frozen=True)
class Effect:
    """An arm among the others.

    Attributes:
        arm: Its name.
        estimate: Its difference to the baseline, positive better; or its value.
        settings: Setting to value, of those that differ between arms.
    """

    arm: str
    estimate: Estimate
    settings: Mapping[str, str]


@dataclass(frozen=True)
class MainEffect:
    """One value of one axis.

    Attributes:
        value: As in YAML.
        estimate: Over the seeds that all its arms have; None without any.
        seeds: The means by seed.
    """

    value: str
    estimate: Estimate | None
    seeds: Mapping[int, float]


@dataclass(frozen=True)
class Axis:
    """One axis of a grid.

    Attributes:
        label: The study's label.
        setting: Its path.
        effects: In the order of its values.
    """

    label: str
    setting: str
    effects: tuple[MainEffect, ...]


def sorted_effects(result: StudyResult, manifest: Manifest) -> list[Effect]:
    """Arms by effect, the worst first; empty where too few arms or settings vary."""
    settings = varied_settings(manifest)
    paths = {path for of in settings.values() for path in of}
    if len(settings) < LEAST_ARMS or len(paths) < 2:
        return []
    effects = [
        Effect(arm.label, effect, settings[arm.label])
        for arm in result.arms
        if arm.label in settings and (effect := _effect(arm, result))
    ]
    return sorted(effects, key=lambda one: (one.estimate.mean, one.arm))


def varied_settings(manifest: Manifest) -> dict[str, dict[str, str]]:
    """Settings that differ between the arms that are no references, by arm."""
    arms = [arm for arm in manifest.arms if not arm.is_reference]
    paths = list(dict.fromkeys(path for arm in arms for path in arm.settings))
    values = {
        arm.label: {
            path: as_yaml(arm.settings.get(path, _base(manifest.base, path)))
            for path in paths
        }
        for arm in arms
    }
    varied = [path for path in paths if len({of[path] for of in values.values()}) > 1]
    return {label: {path: of[path] for path in varied} for label, of in values.items()}


def axes_of(result: StudyResult, manifest: Manifest) -> list[Axis]:
    """The axes of a crossed study with their main effects; empty for any other."""
    settings = varied_settings(manifest)
    axes = manifest.study.get("axes") or ()
    with_effects = []
    for axis in axes:
        path = axis["setting"]
        groups: dict[str, list[ArmResult]] = {}
        for arm in result.arms:
            if arm.label in settings and path in settings[arm.label]:
                groups.setdefault(settings[arm.label][path], []).append(arm)
        effects = tuple(_main_effect(value, arms) for value, arms in groups.items())
        if len(effects) > 1:
            with_effects.append(Axis(axis["label"], path, effects))
    return with_effects


def _main_effect(value: str, arms: Sequence[ArmResult]) -> MainEffect:
    common = set.intersection(*(set(arm.values) for arm in arms))
    seeds = {seed: fmean(arm.values[seed] for arm in arms) for seed in sorted(common)}
    return MainEffect(value, estimate(seeds.values()), seeds)


def _effect(arm: ArmResult, result: StudyResult) -> Estimate | None:
    if result.baseline is None:
        return arm.mean
    if arm.label == result.baseline:
        return Estimate(0.0, None, len(arm.values)) if arm.values else None
    change = arm.difference
    if change is None:
        return None
    return Estimate(result.sign * change.mean, change.half_width, change.n)


def _base(base: Mapping[str, Any], path: str) -> Any:
    """The value of the configuration without arms; None where it has none."""
    value: Any = base
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
