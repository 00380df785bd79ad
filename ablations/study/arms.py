"""From a study and a recipe to the cells of its table: every arm with every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from ablations.layers import Layer, parse_assignments, resolve, set_layer
from ablations.library import read_recipe
from ablations.study.axis import Axis, Point, Value, axis_points, point
from ablations.study.locations import Places
from ablations.study.schema import Study
from ablations.yaml_source import DataPath, YamlSource
from d2v_core.config import TrialConfig, leaves
from d2v_core.errors import ConfigError, Problem


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
        scale: ``smoke``, ``laptop`` ...
        assignments: ``--set`` options as given.
        seeds: Seeds instead of the study's.
        data_root: Folder of the data.
    """

    modality: str
    scale: str
    assignments: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    data_root: str | None = None


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
    """

    study: Study
    request: Request
    base: TrialConfig
    depth: int
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]


def recipe_layers(request: Request) -> list[Layer]:
    """The recipe, then the data root."""
    recipe = Layer.from_yaml(read_recipe(f"{request.modality}-{request.scale}"))
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
        ConfigError: Every broken rule of every arm, each once, with its place.
    """
    places = Places(study, request.modality, source)
    study = study.for_modality(request.modality)
    folder = None if source is None else source.file.resolve().parent
    own_layer = Layer.from_dotted(study.set, places.common, folder)
    common = [*recipe_layers(request), own_layer]
    chosen = parse_assignments(request.assignments)
    settings = [axis.setting for axis in study.all_axes]
    fixed = {path: chosen.pop(path) for path in settings if path in chosen}
    common.append(set_layer(chosen))
    base = resolve(request.modality, common)
    depth = encoder_depth(base)
    if study.all_axes:
        points = _points(study.all_axes, base, depth, fixed, places)
        study = study.with_names(_other_names(points))
        own = [_crossed(study.all_axes, crossing) for crossing in product(*points)]
    else:
        own = [Arm(arm.name, arm.set) for arm in study.arms]
    arms = [*own, *_references(study, request.modality)]
    seeds = request.seeds if request.seeds is not None else study.seed_list()
    cells = _cells(common, arms, seeds, fixed, places)
    _check_metric(study, cells, places)
    return ExpandedStudy(study, request, base, depth, tuple(arms), cells)


def _points(
    axes: Sequence[Axis],
    base: TrialConfig,
    depth: int,
    fixed: Mapping[str, Any],
    places: Places,
) -> list[list[Point]]:
    """The points of every axis; one whose setting the user chose shrinks to that."""
    of_recipe, problems, points = dict(leaves(base)), [], []
    for axis in axes:
        if axis.setting in fixed:
            points.append([point(axis, fixed[axis.setting], depth)])
            continue
        try:
            points.append(axis_points(axis, depth, of_recipe.get(axis.setting)))
        except ValueError as error:
            problems.append(Problem(places.axis(axis.label), str(error)))
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
    places: Places,
) -> tuple[Cell, ...]:
    """Every seed with every arm; errors of all arms together.

    Every cell is validated. Errors have their places from resolving each arm with the
    first seed and each seed with the first arm; trials of an arm share their sections.
    """
    problems: dict[str, Problem] = {}

    def valid(arm: Arm, seed: int) -> TrialConfig | None:
        layers = [*common, _arm_layer(arm, seed, fixed, places)]
        try:
            return resolve(places.modality, layers)
        except ConfigError as error:
            problems.update({str(problem): problem for problem in error.problems})
            return None

    of_arm = [(arm, valid(arm, seeds[0])) for arm in arms]
    for seed in seeds[1:]:
        valid(arms[0], seed)
    if problems:
        raise ConfigError(problems.values())
    return tuple(
        Cell(arm, seed, type(trial).model_validate(dict(trial) | {"seed": seed}))
        for seed, (arm, trial) in product(seeds, of_arm)
        if trial is not None
    )


def _arm_layer(arm: Arm, seed: int, fixed: Mapping[str, Any], places: Places) -> Layer:
    def place(path: DataPath) -> str:
        chosen = ".".join(map(str, path)) in fixed
        return "--set" if chosen else places.arm(arm.label, path)

    return Layer.from_dotted({**arm.settings, "seed": seed}, place)


def _check_metric(study: Study, cells: Sequence[Cell], places: Places) -> None:
    """The metric is measured in every arm."""
    metric = study.metric_for(places.modality)
    of_arms = {cell.arm.label: cell for cell in cells} if metric.needs else {}
    for cell in of_arms.values():
        if dict(leaves(cell.trial)).get(metric.needs, ...) is None:
            rule = f"{metric.name} needs {metric.needs}, which is null"
            message = f"{rule} in arm {cell.arm.label!r}"
            raise ConfigError([Problem(places.metric(), message)])


def encoder_depth(trial: TrialConfig) -> int:
    """Number of blocks; asks timm when the recipe leaves it to the model."""
    depth = trial.encoder.depth
    if depth is None:
        from d2v_core.build import default_depth

        depth = default_depth(trial)
    return depth
