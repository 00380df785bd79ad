"""Shipped recipes, studies and search spaces, and users' own files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ablations.search.space import SearchSpace
from ablations.study.like import with_likes
from ablations.study.schema import Study
from ablations.yaml_source import YamlSource, read_yaml
from d2v_core.config.parsing import Model, one_of, parse_section
from d2v_core.errors import ConfigError, Problem

RECIPES = Path(__file__).parent / "recipes"
STUDIES = Path(__file__).parent / "studies"
SPACES = Path(__file__).parent / "spaces"


def recipe_names() -> list[str]:
    """``vision-smoke`` and so on."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def study_names() -> list[str]:
    """Names of the shipped studies."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def read_recipe(name: str) -> YamlSource:
    """A shipped recipe by name (``vision-smoke``), or a file by path.

    Raises:
        ConfigError: There is no such recipe, or it is not YAML.
    """
    return _read(name, RECIPES, "recipe")


@dataclass(frozen=True)
class StudyFile:
    """A study and where everything in it stands."""

    study: Study
    source: YamlSource


def load_study(name: str) -> Study:
    """A shipped study by name, or a file by path.

    Raises:
        ConfigError: As :func:`read_study`.
    """
    return read_study(name).study


def read_study(name: str) -> StudyFile:
    """A shipped study by name, or a file by path, with its places.

    Raises:
        ConfigError: There is no such study; or every mistake in the file, each with
            file, line and column. The name of a shipped study is one: both would
            share an experiment, and reports could not tell their trials apart.
    """
    source = _read(name, STUDIES, "study")
    if source.file.parent == STUDIES:
        return _shipped_study(source.file)
    return StudyFile(_parse_study(source, _taken_name(source)), source)


@cache
def _shipped_study(file: Path) -> StudyFile:
    """A study of ours, checked once: lists and plans of many ask for all of them."""
    source = _shipped(file)
    return StudyFile(_parse_study(source), source)


def _parse_study(source: YamlSource, known: Sequence[Problem] = ()) -> Study:
    """The study in a file, with the arms of others that its own are like."""
    if not isinstance(source.data, dict):
        return _parse(Study, source, "study", known)
    data, problems = with_likes(source.data, _shipped_by_name)
    return _parse(Study, replace(source, data=data), "study", [*known, *problems])


def _shipped_by_name(name: str) -> Study:
    """A study of ours; a file of somebody's is not looked for."""
    if name not in study_names():
        raise ConfigError([Problem("study", one_of(study_names(), name))])
    return _shipped_study(STUDIES / f"{name}.yaml").study


@dataclass(frozen=True)
class SpaceFile:
    """A search space and where everything in it stands."""

    space: SearchSpace
    source: YamlSource


def space_names() -> list[str]:
    """Names of the shipped search spaces."""
    return sorted(path.stem for path in SPACES.glob("*.yaml"))


def read_space(name: str) -> SpaceFile:
    """A shipped search space by name, or a file by path, with its places.

    Raises:
        ConfigError: As :func:`read_study`.
    """
    source = _read(name, SPACES, "search space")
    return SpaceFile(_parse(SearchSpace, source, "search space"), source)


def _taken_name(source: YamlSource) -> list[Problem]:
    """The refusal of a file of the user's that calls itself like a shipped study."""
    name = source.data.get("name") if isinstance(source.data, dict) else None
    is_shipped = source.file.resolve().parent == STUDIES.resolve()
    if is_shipped or name not in study_names():
        return []
    requirement = "must not be the name of a shipped study"
    return [Problem("name", f"{requirement}, got {name!r}; choose another name")]


def _parse(
    model: type[Model], source: YamlSource, kind: str, known: Sequence[Problem] = ()
) -> Model:
    """The section in a file; ``known`` are mistakes found before."""
    if not isinstance(source.data, dict):
        raise source.located([Problem("", f"a {kind} must be a mapping")])
    try:
        parsed = parse_section(model, source.data)
    except ConfigError as error:
        raise source.located([*known, *error.problems]) from None
    if known:
        raise source.located(known)
    return parsed


def _read(name: str, folder: Path, kind: str) -> YamlSource:
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return read_yaml(Path(name))
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise ConfigError([Problem(kind, f"{one_of(known, name)} (or a .yaml file)")])
    return _shipped(folder / f"{name}.yaml")


@cache
def _shipped(file: Path) -> YamlSource:
    """A file of ours, read once: every arm and every check needs its recipe."""
    return read_yaml(file)
