"""From a study and a recipe to the cells of its table: every arm with every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

from ablations.layers import Layer, parse_assignments, resolve, set_layer
from ablations.library import read_recipe
from ablations.study import Axis, FractionsOfDepth, Study
from ablations.yaml_source import DataPath
from d2v_core.config import TrialConfig, embedded_sources
from d2v_core.config.parsing import one_of
from d2v_core.errors import ConfigError, Problem


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Attributes:
        label: Row name, ``K=3`` or ``untrained``.
        settings: Dotted path to value: what it changes on the recipe.
        is_reference: Untrained or supervised.
        value: The axis value, for arms of an axis.
    """

    label: str
    settings: Mapping[str, Any]
    is_reference: bool = False
    value: str | int | float | bool | None = None


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
    """A study with its cells, seeds before arms."""

    study: Study
    request: Request
    base: TrialConfig
    depth: int
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]


def recipe_layers(request: Request) -> list[Layer]:
    """The recipe, then the data root."""
    recipe = Layer.from_yaml(read_recipe(f"{request.modality}-{request.scale}"))
    return [recipe, *data_root_layer(recipe, request.modality, request.data_root)]


def data_root_layer(recipe: Layer, modality: str, data_root: str | None) -> list[Layer]:
    """The data root as a layer, when the recipe's data has one."""
    source = recipe.settings.get("data", {}).get("source")
    if data_root is None or source in embedded_sources(modality):
        return []
    return [Layer.from_dotted({"data.root": data_root}, lambda path: "--data-root")]


def expand(study: Study, request: Request) -> ExpandedStudy:
    """All cells, validated; nothing is read but YAML.

    Seeds come before arms, so that an interrupted study is balanced.

    Raises:
        ConfigError: Every broken rule of every arm, each once, with its place.
    """
    if request.modality not in study.metric:
        raise ConfigError(
            [Problem("--modality", one_of(study.metric, request.modality))]
        )
    common = [
        *recipe_layers(request),
        Layer.from_dotted(study.set, lambda path: f"study {study.name}: set"),
    ]
    chosen = parse_assignments(request.assignments)
    axis = study.axis
    fixed = {}
    if axis and axis.setting in chosen:
        fixed = {axis.setting: chosen.pop(axis.setting)}
    common.append(set_layer(chosen))
    base = resolve(request.modality, common)
    depth = encoder_depth(base)
    arms = study_arms(study, depth, fixed)
    seeds = request.seeds if request.seeds is not None else study.seed_list()
    cells = _cells(study.name, request.modality, common, arms, seeds, fixed)
    return ExpandedStudy(study, request, base, depth, tuple(arms), cells)


def _cells(
    study: str,
    modality: str,
    common: Sequence[Layer],
    arms: Sequence[Arm],
    seeds: Sequence[int],
    fixed: Mapping[str, Any],
) -> tuple[Cell, ...]:
    """Every seed with every arm; errors of all arms together."""

    def place(arm: Arm, path: DataPath) -> str:
        if ".".join(map(str, path)) in fixed:
            return "--set"
        return f"study {study}: arm {arm.label!r}"

    problems: dict[str, Problem] = {}
    cells = []
    for seed, arm in product(seeds, arms):
        own = Layer.from_dotted({**arm.settings, "seed": seed}, partial(place, arm))
        try:
            cells.append(Cell(arm, seed, resolve(modality, [*common, own])))
        except ConfigError as error:
            problems |= {str(problem): problem for problem in error.problems}
    if problems:
        raise ConfigError(problems.values())
    return tuple(cells)


def encoder_depth(trial: TrialConfig) -> int:
    """Number of blocks; asks timm when the recipe leaves it to the model."""
    depth = trial.encoder.depth
    if depth is None:
        from d2v_core.build import default_depth

        depth = default_depth(trial)
    return depth


def study_arms(study: Study, depth: int, fixed: Mapping[str, Any]) -> list[Arm]:
    """The arms of a study for an encoder of this depth.

    Args:
        study: The study.
        depth: Number of blocks of the encoder.
        fixed: A value of the axis' setting that the user chose; the axis shrinks to it.
    """
    if study.axis:
        values = list(fixed.values()) or axis_values(study.axis, depth)
        arms = [
            Arm(f"{study.axis.label}={v}", {study.axis.setting: v}, value=v)
            for v in values
        ]
    else:
        arms = [Arm(arm.name, arm.set) for arm in study.arms]
    references = [
        Arm(name, {"objective.kind": name}, is_reference=True)
        for name in study.reference_arms
    ]
    return [*arms, *references]


def axis_values(axis: Axis, depth: int) -> list[Any]:
    """The values of an axis; fractions become whole layers, each once."""
    if isinstance(axis.values, FractionsOfDepth):
        shares = axis.values.fraction_of_depth
        return sorted({layers_for(share, depth) for share in shares})
    return list(axis.values)


def layers_for(share: Fraction, depth: int) -> int:
    """Whole layers a share of the depth stands for, at least one."""
    return max(1, round(share * depth))
