"""A trial's configuration as layers: defaults, recipe, study, ``--set``, arm.

Later layers win. Each setting remembers which layer gave it, so that an error points to
the file and line, or the option, that has to change.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from ablations.data_places import PlacedSettings, settle_data
from ablations.yaml_source import DataPath, YamlSource, parse_value, split_path
from d2v_core.config import TRIAL_TYPES, TrialConfig, parse_trial
from d2v_core.config.base import TAGS, sections_in
from d2v_core.config.own import settled
from d2v_core.config.parsing import known_settings, nearest, one_of
from d2v_core.errors import ConfigError, Problem, shown
from d2v_core.weights_files import SETTING as INITIAL_WEIGHTS
from d2v_core.weights_files import TIMM

MAX_TYPED = 10_000
"""Characters of one ``--set``."""


@dataclass(frozen=True)
class Layer:
    """Settings from one place.

    Attributes:
        settings: Nested plain data.
        locate: Says where a path of this layer stands, for people.
        folder: Where its relative paths start; None: where the command was typed.
        if_known: Drop its settings where the chosen variants have none of that name.
    """

    settings: Mapping[str, Any]
    locate: Callable[[DataPath], str]
    folder: Path | None = None
    if_known: bool = False

    @classmethod
    def from_yaml(cls, source: YamlSource) -> Layer:
        """A whole file, as recipes are.

        Raises:
            ConfigError: The file holds something else than a mapping.
        """
        if not isinstance(source.data, dict | None):
            raise source.located([Problem("", "must be a mapping of settings")])
        return cls(source.data or {}, source.locate, source.file.resolve().parent)

    @classmethod
    def from_dotted(
        cls,
        settings: Mapping[str, Any],
        locate: Callable[[DataPath], str],
        folder: Path | None = None,
        if_known: bool = False,
    ) -> Layer:
        """``{"target.top_k": 4}``.

        Raises:
            ConfigError: A path goes through a setting that has a value itself.
        """
        nested: dict[str, Any] = {}
        for path, value in settings.items():
            *parents, last = path.split(".")
            place = nested
            for parent in parents:
                place = place.setdefault(parent, {})
                if not isinstance(place, dict):
                    where = f"{locate(split_path(path))}: {path}"
                    raise ConfigError(
                        [
                            Problem(
                                where, f"{parent!r} is set to {shown(place)} as a whole"
                            )
                        ]
                    )
            # A copy: another path may go into it, and it is not ours.
            place[last] = copy.deepcopy(value)
        return cls(nested, locate, folder, if_known)


def parse_assignments(
    assignments: Sequence[str], modality: str | None = None
) -> dict[str, Any]:
    """``["target.top_k=4"]`` to ``{"target.top_k": 4}``; values are YAML scalars.

    Args:
        assignments: As typed.
        modality: Modality of the settings: those that are texts then take what was
            typed as it stands, a folder ``2024-11-31`` or ``007`` too.

    Raises:
        ConfigError: An assignment has no ``=``, or its value is not YAML.
    """
    settings: dict[str, Any] = {}
    problems: list[Problem] = []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        path, option = path.strip(), f"--set {shown(assignment)[1:-1]}"
        if not equals or not path:
            problems.append(Problem(option, "must have the form path=value"))
        elif len(assignment) > MAX_TYPED:
            message = f"must have at most {MAX_TYPED:,} characters"
            problems.append(Problem(option, f"{message}, has {len(assignment):,}"))
        elif modality and is_text(modality, path) and _is_bare(text):
            settings[path] = text.strip()
        else:
            try:
                settings[path] = parse_value(text, option)
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(problems)
    return settings


def _is_bare(text: str) -> bool:
    """Whether a typed text means itself: no quotes around it, and not ``null``."""
    return text.strip() not in ("", "null", "~") and text.strip()[0] not in "'\""


def set_layer(settings: Mapping[str, Any]) -> Layer:
    """The layer of the ``--set`` options."""
    return Layer.from_dotted(settings, lambda path: "--set")


def resolve(modality: str, layers: Sequence[Layer]) -> TrialConfig:
    """Merge layers over the defaults and validate.

    Raises:
        ConfigError: Every broken rule, each with the place of the layer that set it.
    """
    if modality not in TRIAL_TYPES:
        raise ConfigError([Problem("modality", one_of(TRIAL_TYPES, modality))])
    data, origins = _merged(TRIAL_TYPES[modality], layers)
    try:
        data = settled(TRIAL_TYPES[modality], data, lambda path: _folder(path, origins))
        return parse_trial(data)
    except ConfigError as error:
        raise ConfigError(_located(p, origins) for p in error.problems) from None


def _folder(path: DataPath, origins: Mapping[DataPath, Layer]) -> Path:
    """Where a relative path given at a setting starts."""
    while path and path not in origins:
        path = path[:-1]  # the whole section is from one layer
    layer = origins.get(path)
    return Path.cwd() if layer is None or layer.folder is None else layer.folder


def located(error: ConfigError, modality: str, layers: Sequence[Layer]) -> ConfigError:
    """An error of a trial that was resolved from layers, with their places."""
    _, origins = _merged(TRIAL_TYPES[modality], layers)
    return ConfigError(_located(problem, origins) for problem in error.problems)


def _merged(
    model: type[BaseModel], layers: Sequence[Layer]
) -> tuple[dict[str, Any], dict[DataPath, Layer]]:
    """The layers over the defaults, and which layer has given each setting."""
    data: dict[str, Any] = model().model_dump(mode="json")
    origins: dict[DataPath, Layer] = {}
    for layer in layers:
        _merge(data, layer, origins, model)
    settle_data(PlacedSettings(data, origins, layers, model))
    if begins := origins.get((INITIAL_WEIGHTS,)):
        data[INITIAL_WEIGHTS] = _whole_path(data[INITIAL_WEIGHTS], begins.folder)
    return data, origins


def _merge(
    data: dict[str, Any],
    layer: Layer,
    origins: dict[DataPath, Layer],
    model: type[BaseModel],
) -> None:
    if layer.if_known and not isinstance(data.get("data"), dict):
        return  # a mistake of another layer, to be named as such

    def merge(into: dict[str, Any], new: Mapping[str, Any], path: DataPath) -> None:
        for tag in TAGS & new.keys() & into.keys():
            if new[tag] != into[tag]:
                _keep_common(into, model, (*path, str(new[tag])))
        for key, value in new.items():
            here = (*path, key)
            origins[here] = layer
            if isinstance(value, Mapping) and isinstance(into.get(key), dict):
                merge(into[key], value, here)
            else:
                into[key] = copy.deepcopy(value)  # later layers merge into it

    merge(data, layer.settings, ())


def _whole_path(given: Any, folder: Path | None) -> Any:
    """A path from where its layer stands; what is none is refused elsewhere."""
    if not isinstance(given, str) or given.startswith(TIMM):
        return given
    path = os.path.expanduser(given)
    return os.path.abspath(os.path.join(folder or Path.cwd(), path))


def _keep_common(
    section: dict[str, Any], model: type[BaseModel], location: DataPath
) -> None:
    """Drop the settings of one variant that another variant does not have."""
    known = set(known_settings(model, location))
    for key in [key for key in section if key not in known]:
        del section[key]


def _located(problem: Problem, origins: Mapping[DataPath, Layer]) -> Problem:
    path = tuple(problem.path.split("."))
    by_text = {tuple(map(str, known)): layer for known, layer in origins.items()}
    while path and path not in by_text:
        path = path[:-1]
    if not path:
        return problem
    place = by_text[path].locate(split_path(problem.path))
    return Problem(f"{place}: {problem.path}", problem.message)


def check_setting(modality: str, path: str) -> Problem | None:
    """Whether a dotted path names a setting of a modality's trial."""
    models: list[type[BaseModel]] = [TRIAL_TYPES[modality]]
    for part in path.split("."):
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        if not fields:
            known = {name for m in models for name in m.model_fields}
            hint = nearest(known, part) or f"; known there: {', '.join(sorted(known))}"
            return Problem(path, f"must name a setting, got {shown(path)}{hint}")
        if any(get_origin(f.annotation) is dict for f in fields):
            return None  # arguments of one's own function: any name
        models = [m for f in fields for m in sections_in(f.annotation)]
    return None


def is_text(modality: str, path: str) -> bool:
    """Whether a dotted path names a setting that is a text, in every variant."""
    models: list[type[BaseModel]] = (
        [TRIAL_TYPES[modality]] if modality in TRIAL_TYPES else []
    )
    kinds: set[Any] = set()
    for part in path.split("."):
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        kinds = {k for f in fields for k in get_args(f.annotation) or (f.annotation,)}
        models = [m for f in fields for m in sections_in(f.annotation)]
    return str in kinds and kinds <= {str, type(None)}
