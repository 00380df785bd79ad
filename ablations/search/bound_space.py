"""A search space at one modality and scale: bounds known, every corner buildable.

A *point* gives each parameter that exists at it a value. Parameters the user fixed with
``--set`` are no longer searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.layers import Layer, parse_assignments, resolve, set_layer
from ablations.library import SpaceFile
from ablations.metrics import Metric
from ablations.search.space import (
    DEPTH,
    AnyParameter,
    ChoiceParameter,
    FloatParameter,
    IntParameter,
    SearchSpace,
)
from ablations.study.arms import Request, encoder_depth, recipe_layers
from ablations.study.axis import Value
from ablations.yaml_source import DataPath
from d2v_core.config import TrialConfig, leaves
from d2v_core.config.parsing import one_of
from d2v_core.errors import ConfigError, Problem

Point = dict[str, Value]
"""Setting to value."""


@dataclass(frozen=True)
class BoundSpace:
    """A space that can be searched.

    Attributes:
        space: As written.
        request: What it is searched for; its one seed is that of every trial.
        parameters: Those that exist here, ``depth`` replaced by a number.
        base: The paper's setting at this scale.
        depth: Blocks of the encoder.
    """

    space: SearchSpace
    request: Request
    parameters: tuple[AnyParameter, ...]
    base: TrialConfig
    depth: int
    _layers: tuple[Layer, ...]
    _fixed: Mapping[str, Any]
    _folder: Path

    @property
    def metric(self) -> Metric:
        """The metric that counts."""
        return self.space.metric_for(self.request.modality)

    @property
    def paper(self) -> Point:
        """The paper's setting as a point."""
        return self.consistent(self._fixed)

    def exists(self, parameter: AnyParameter, point: Mapping[str, Any]) -> bool:
        """Whether a parameter exists beside what a point says of earlier ones."""
        searched = {other.setting for other in self.parameters}
        return all(
            (point if setting in searched else self._fixed).get(setting, ...) == value
            for setting, value in parameter.when.items()
        )

    def draw(self, choose: Callable[[AnyParameter], Value]) -> Point:
        """The point whose parameters are chosen one after the other."""
        point: Point = {}
        for parameter in self.parameters:
            if self.exists(parameter, point):
                point[parameter.setting] = choose(parameter)
        return point

    def consistent(self, *wishes: Mapping[str, Any]) -> Point:
        """The point with the first value that any of the wishes has for a parameter.

        Parameters nobody has a value for are left to the defaults of the schema.
        """
        point: Point = {}
        for parameter in self.parameters:
            given = [w[parameter.setting] for w in wishes if parameter.setting in w]
            if given and self.exists(parameter, point):
                point[parameter.setting] = given[0]
        return point

    def overrides(self, point: Point) -> Point:
        """What a point changes on the paper's setting."""
        paper = self.paper
        return {k: v for k, v in point.items() if k not in paper or v != paper[k]}

    def trial(
        self, point: Point, locate: Callable[..., str] = lambda path: "search"
    ) -> TrialConfig:
        """The configuration at a point.

        Raises:
            ConfigError: Its settings do not go together.
        """
        own = Layer.from_dotted(self.overrides(point), locate, self._folder)
        return resolve(self.request.modality, [*self._layers, own])

    def short_names(self) -> dict[str, str]:
        """Settings by their last two words, or more where others end so too."""
        settings = [parameter.setting for parameter in self.parameters]
        return {setting: _short(setting, settings) for setting in settings}


def _short(setting: str, others: Iterable[str]) -> str:
    parts = setting.split(".")
    for count in range(2, len(parts)):
        ending = ".".join(parts[-count:])
        if sum(f".{other}".endswith(f".{ending}") for other in others) == 1:
            return ending
    return setting


def bind(file: SpaceFile, request: Request) -> BoundSpace:
    """A space at a modality and scale.

    Args:
        file: The space.
        request: Modality, scale, ``--set`` options and the seed of the trials.

    Raises:
        ConfigError: The space lacks the modality, the paper's setting lies outside, or
            a bound makes a trial that cannot be built; all mistakes with their place.
    """
    space, modality = file.space, request.modality
    if modality not in space.metric:
        raise ConfigError([Problem("--modality", one_of(space.metric, modality))])
    chosen = parse_assignments(request.assignments, modality)
    execution: dict[str, Any] = {}
    if space.early_stopping:
        execution["execution.probe_at"] = list(space.early_stopping.probe_at)
    (seed,) = request.seeds or (0,)
    folder = file.source.file.resolve().parent
    layers = [
        *recipe_layers(request),
        Layer.from_dotted(space.set, lambda path: _place_of_set(file, path), folder),
        set_layer(chosen),
        Layer.from_dotted({**execution, "seed": seed}, lambda path: "--seed"),
    ]
    base = resolve(modality, layers)
    if not base.has_labels:
        message = "a search needs labels to select by, and this data has none; name a"
        raise ConfigError([Problem("data", f"{message} labelled set: evaluation.data")])
    fixed = dict(leaves(base))
    depth = encoder_depth(base)
    parameters = [
        (i, _with_depth(parameter, depth))
        for i, parameter in enumerate(space.parameters)
        if parameter.setting not in chosen
        and _possible(space, parameter, fixed, chosen)
    ]
    bound = BoundSpace(
        space,
        request,
        tuple(p for _, p in parameters),
        base,
        depth,
        tuple(layers),
        fixed,
        folder,
    )
    places = {
        p.setting: file.source.locate_text(f"parameters.{i}") for i, p in parameters
    }
    _check(bound, places)
    return bound


def _place_of_set(file: SpaceFile, path: DataPath) -> str:
    """Where a setting common to all trials stands."""
    dotted = ".".join(map(str, path))
    where = file.source.locate_text(f"set.{dotted}")
    return f"{where}: search space {file.space.name}: set"


def _possible(
    space: SearchSpace,
    parameter: AnyParameter,
    fixed: Mapping[str, Any],
    chosen: Mapping[str, Any],
) -> bool:
    """Whether what is not searched lets a parameter exist."""
    searched = {other.setting for other in space.parameters} - set(chosen)
    return all(
        setting in searched or fixed.get(setting, ...) == value
        for setting, value in parameter.when.items()
    )


def _with_depth(parameter: AnyParameter, depth: int) -> AnyParameter:
    if not isinstance(parameter, IntParameter) or parameter.high != DEPTH:
        return parameter
    return IntParameter.model_validate({**parameter.model_dump(), "high": depth})


def _check(bound: BoundSpace, places: Mapping[str, str]) -> None:
    """The paper's setting lies inside, and every bound makes a trial.

    Raises:
        ConfigError: All that do not, with their places.
    """
    name = bound.space.name
    if not bound.parameters:
        requirement = (
            f"nothing is left to search in {name} for {bound.request.modality}"
        )
        raise ConfigError(
            [Problem("--set", f"{requirement}: every parameter is fixed")]
        )
    problems = []
    for parameter in bound.parameters:
        setting = parameter.setting
        if setting in bound.paper and not contains(parameter, bound.paper[setting]):
            given = f"the recipe has {bound.paper[setting]!r}, where the search begins"
            requirement = (
                f"must include the recipe's own value, got {described(parameter)}"
            )
            remedy = f"change the bounds, or fix it: --set {setting}=…"
            message = f"{requirement}; {given}; {remedy}"
            problems.append(Problem(f"{places[setting]}: {setting}", message))
    for parameter, value in _corners(bound):
        problems += _unbuildable(bound, parameter, value, places[parameter.setting])
    if problems:
        raise ConfigError({str(p): p for p in problems}.values())


def _corners(bound: BoundSpace) -> Iterator[tuple[AnyParameter, Value]]:
    for parameter in bound.parameters:
        for value in extremes(parameter):
            yield parameter, value


def _unbuildable(
    bound: BoundSpace, parameter: AnyParameter, value: Value, place: str
) -> list[Problem]:
    """What is wrong with the paper's setting once one parameter has a value."""
    from d2v_core.build import check_buildable

    needed: dict[str, Any] = {**parameter.when, parameter.setting: value}
    firsts = {p.setting: extremes(p)[0] for p in bound.parameters}
    try:
        check_buildable(bound.trial(bound.consistent(needed, bound.paper, firsts)))
    except ConfigError as error:
        where = f"{place}: {parameter.setting} = {value!r}"
        return [Problem(where, p.message) for p in error.problems]
    return []


def extremes(parameter: AnyParameter) -> tuple[Value, ...]:
    """Both bounds, or every choice."""
    if isinstance(parameter, ChoiceParameter):
        return parameter.of
    return (parameter.low, parameter.high)


def contains(parameter: AnyParameter, value: Value) -> bool:
    """Whether a value lies in a parameter's bounds, and is of its kind."""
    if isinstance(parameter, ChoiceParameter):
        return any(value == one and type(value) is type(one) for one in parameter.of)
    kind = float if isinstance(parameter, FloatParameter) else int
    if type(value) is not kind:
        return False
    assert isinstance(value, int | float)
    assert not isinstance(parameter.high, str)
    return parameter.low <= value <= parameter.high


def described(parameter: AnyParameter) -> str:
    """Bounds or choices, for people."""
    if isinstance(parameter, ChoiceParameter):
        return f"one of {', '.join(map(str, parameter.of))}"
    kind = "a number" if isinstance(parameter, FloatParameter) else "a whole number"
    return f"{kind} from {parameter.low} to {parameter.high}"
