"""Expands a study and a recipe to the cells of its table: every arm, every seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

from ablations.layers import Layer, located, parse_assignments, resolve, set_layer
from ablations.library import read_recipe, read_study
from ablations.study.axis import Axis, Point, Value, axis_points, point
from ablations.study.locations import Locations
from ablations.study.schema import Study
from ablations.study.unlabelled import served_by
from ablations.yaml_source import YamlSource
from d2v_core.config import TrialConfig, leaves
from d2v_core.errors import ConfigError, Problem

MAX_ARMS = 2_000
MAX_CELLS = 20_000
"""Arms times seeds: planned in seconds, and twice the largest store measured."""


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Attributes:
        label: Row name, ``K=3`` or ``untrained``.
        settings: Dotted path to value: what it changes on the recipe.
        is_reference: Untrained or supervised.
        values: Its value on each axis, by the axis' label.
    """

    label: str
    settings: Mapping[str, Any]
    is_reference: bool = False
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def value(self) -> Value:
        """The value on a single axis; None without one."""
        return next(iter(self.values.values())) if len(self.values) == 1 else None


@dataclass(frozen=True)
class Cell:
    """One arm with one seed, fully resolved."""

    arm: Arm
    seed: int
    trial: TrialConfig


@dataclass(frozen=True)
class Request:
    """What the user asked for, beside the study.

    Attributes:
        modality: ``vision``.
        scale: ``smoke``, ``laptop`` ...; of a recipe of the user's, its name.
        assignments: ``--set`` options as given.
        seeds: Seeds instead of the study's.
        data_root: Folder of the data.
        recipe: File of the recipe; empty: the shipped one of modality and scale.
    """

    modality: str
    scale: str
    assignments: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    data_root: str | None = None
    recipe: str = ""


@dataclass(frozen=True)
class ExpandedStudy:
    """A study with its cells, seeds before arms.

    Attributes:
        study: As the requested modality has it, arms named as at this depth.
        request: What was asked for.
        base: The configuration without arms.
        depth: Blocks of the encoder.
        arms: Rows.
        cells: Every arm with every seed.
        locations: Where its settings stand, for messages.
        note: What the data cannot serve of the study, in a line; empty: nothing.
    """

    study: Study
    request: Request
    base: TrialConfig
    depth: int
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]
    locations: Locations
    note: str = ""

    @property
    def cell_of_each_arm(self) -> tuple[Cell, ...]:
        """The cells of the first seed."""
        return self.cells[: len(self.arms)]


def recipe_layers(request: Request) -> list[Layer]:
    """The recipe, then the data root."""
    name = request.recipe or f"{request.modality}-{request.scale}"
    recipe = Layer.from_yaml(read_recipe(name))
    return [recipe, *data_root_layer(request.data_root)]


def data_root_layer(data_root: str | None) -> list[Layer]:
    """The data root as a layer; embedded data has no use for it."""
    if data_root is None:
        return []
    return [
        Layer.from_dotted(
            {"data.root": data_root}, lambda path: "--data-root", if_known=True
        )
    ]


def expand_named(name: str, request: Request) -> ExpandedStudy:
    """All cells of a shipped study by name, or of a file by path.

    Raises:
        ConfigError: As :func:`ablations.library.read_study` and :func:`expand`, each
            mistake with file, line and column.
    """
    file = read_study(name)
    return expand(file.study, request, file.source)


def expand(
    study: Study, request: Request, source: YamlSource | None = None
) -> ExpandedStudy:
    """All cells, validated; nothing is read but YAML.

    Seeds come before arms, so that an interrupted study is balanced.

    Args:
        study: As written, for all its modalities.
        request: What to expand it for.
        source: The study's file, so that errors say where in it.

    Raises:
        ConfigError: Every mistake of every arm, each once, with its place.
    """
    locations = Locations(study, request.modality, source, request.scale)
    study = study.for_modality(request.modality, request.scale)
    chosen = parse_assignments(request.assignments, request.modality)
    settings = [axis.setting for axis in study.all_axes]
    # An axis whose setting the user chose shrinks to that value.
    fixed = {path: chosen.pop(path) for path in settings if path in chosen}
    common = [
        *recipe_layers(request),
        Layer.from_dotted(study.set, locations.common, locations.folder),
        set_layer(chosen),
    ]
    seeds = request.seeds if request.seeds is not None else study.seed_list()
    try:
        base = resolve(request.modality, common)
    except ConfigError as error:
        arms = _arms_of_any_recipe(study, request.modality, fixed)
        joined = _joined(error, lambda: _cells(common, arms, seeds, fixed, locations))
        raise joined from None
    try:
        depth = encoder_depth(base)
    except ConfigError as error:
        raise located(error, request.modality, common) from None
    study, note = served_by(study, request.modality, base)
    if study.all_axes:
        points = _points(study.all_axes, base, depth, fixed, locations)
        _check_grid(math.prod(map(len, points)), 1)
        study = _renamed(study, points, locations)
        own = [_crossed(study.all_axes, crossing) for crossing in product(*points)]
    else:
        own = _named_arms(study)
    arms = [*own, *_references(study, request.modality)]
    _check_grid(len(arms), len(seeds))
    cells = _cells(common, arms, seeds, fixed, locations)
    _check_metric(study, cells, locations)
    return ExpandedStudy(
        study, request, base, depth, tuple(arms), cells, locations, note
    )


def _joined(error: ConfigError, check: Callable[[], object]) -> ConfigError:
    """An error with what a further check finds, each problem once."""
    problems = {str(problem): problem for problem in error.problems}
    try:
        check()
    except ConfigError as further:
        problems |= {str(problem): problem for problem in further.problems}
    return ConfigError(problems.values())


def _arms_of_any_recipe(
    study: Study, modality: str, fixed: Mapping[str, Any]
) -> list[Arm]:
    """The arms that do not depend on the recipe, to look for mistakes in them too."""
    axes, arms = study.all_axes, _named_arms(study)
    if axes and all(isinstance(a.values, tuple) or a.setting in fixed for a in axes):
        values = [[fixed[a.setting]] if a.setting in fixed else a.values for a in axes]
        points = [
            [point(axis, value, depth=0) for value in given]
            for axis, given in zip(axes, values, strict=True)
        ]
        arms = [_crossed(axes, crossing) for crossing in product(*points)]
    return [*arms, *_references(study, modality)]


def _named_arms(study: Study) -> list[Arm]:
    return [Arm(arm.name, arm.set) for arm in study.arms]


def _renamed(
    study: Study, points: Sequence[Sequence[Point]], locations: Locations
) -> Study:
    """The study with its arms named as at this depth."""
    try:
        return study.with_names(_other_names(points))
    except ConfigError as error:
        raise ConfigError(map(locations.claims, error.problems)) from None


def _check_grid(num_arms: int, num_seeds: int) -> None:
    """Refuse a table that nobody reads and no store holds, before it is made."""
    if num_arms <= MAX_ARMS and num_arms * num_seeds <= MAX_CELLS:
        return
    requirement = f"a study must have at most {MAX_ARMS:,} arms and {MAX_CELLS:,} cells"
    given = f"got {num_arms:,} arms x {num_seeds:,} seeds"
    remedy = "give fewer values, or --set an axis to one value"
    raise ConfigError([Problem("study", f"{requirement}, {given}; {remedy}")])


def _points(
    axes: Sequence[Axis],
    base: TrialConfig,
    depth: int,
    fixed: Mapping[str, Any],
    locations: Locations,
) -> list[list[Point]]:
    """The points of every axis."""
    of_recipe, problems, points = dict(leaves(base)), [], []
    for axis in axes:
        if axis.setting in fixed:
            points.append([point(axis, fixed[axis.setting], depth)])
            continue
        try:
            points.append(axis_points(axis, depth, of_recipe.get(axis.setting)))
        except ValueError as error:
            problems.append(Problem(locations.axis(axis.label), str(error)))
    if problems:
        raise ConfigError(problems)
    return points


def _crossed(axes: Sequence[Axis], points: Sequence[Point]) -> Arm:
    """The arm where the axes have these values."""
    pairs = list(zip(axes, points, strict=True))
    return Arm(
        label=", ".join(p.name for p in points),
        settings={axis.setting: p.value for axis, p in pairs},
        values={axis.label: p.shown for axis, p in pairs},
    )


def _other_names(points: Sequence[Sequence[Point]]) -> dict[str, str]:
    """``{"K=all": "K=4"}``, for every arm that has another name."""
    names = {}
    for chosen in product(*points):
        name = ", ".join(p.name for p in chosen)
        for others in product(*({p.name, p.alias} for p in chosen)):
            names[", ".join(others)] = name
    return names


def _references(study: Study, modality: str) -> list[Arm]:
    return [
        Arm(name, {"objective.kind": name}, is_reference=True)
        for name in study.references(modality)
    ]


def _cells(
    common: Sequence[Layer],
    arms: Sequence[Arm],
    seeds: Sequence[int],
    fixed: Mapping[str, Any],
    locations: Locations,
) -> tuple[Cell, ...]:
    """Every seed with every arm; errors of all arms together.

    Each arm is resolved with the first seed, and each seed with the first arm. No rule
    spans the seed and another setting, so the other cells are valid too.
    """
    problems: dict[str, Problem] = {}

    def valid(arm: Arm, seed: int) -> TrialConfig | None:
        layers = [*common, *_arm_layers(arm, seed, fixed, locations)]
        try:
            return resolve(locations.modality, layers)
        except ConfigError as error:
            problems.update({str(problem): problem for problem in error.problems})
            return None

    of_arm = [(arm, valid(arm, seeds[0])) for arm in arms]
    for seed in {min(seeds), max(seeds)} - {seeds[0]}:  # those between are as valid
        for arm in arms[:1]:  # there may be none while a recipe's depth is unknown
            valid(arm, seed)
    if problems:
        raise ConfigError(problems.values())
    return tuple(
        Cell(arm, seed, type(trial).model_validate(dict(trial) | {"seed": seed}))
        for seed, (arm, trial) in product(seeds, of_arm)
        if trial is not None
    )


def _arm_layers(
    arm: Arm, seed: int, fixed: Mapping[str, Any], locations: Locations
) -> list[Layer]:
    """What the study says of an arm, and what the user has chosen instead."""
    said = {k: v for k, v in arm.settings.items() if k not in fixed}
    chosen = {k: v for k, v in arm.settings.items() if k in fixed}
    place = partial(locations.arm, arm.label)
    return [
        Layer.from_dotted({**said, "seed": seed}, place, locations.folder),
        set_layer(chosen),
    ]


def _check_metric(study: Study, cells: Sequence[Cell], locations: Locations) -> None:
    """The metric is measured in every arm."""
    metric = study.metric_for(locations.modality)
    of_arms = {cell.arm.label: cell for cell in cells} if metric.needs else {}
    for cell in of_arms.values():
        if dict(leaves(cell.trial)).get(metric.needs, ...) is None:
            requirement = f"{metric.name} needs {metric.needs}, which is null"
            message = f"{requirement} in arm {cell.arm.label!r}"
            raise ConfigError([Problem(locations.metric(), message)])


def encoder_depth(trial: TrialConfig) -> int:
    """Number of blocks; asks timm when the recipe leaves it to the model."""
    depth = trial.encoder.depth
    if depth is None:
        from d2v_core.build import default_depth

        depth = default_depth(trial)
    return depth
