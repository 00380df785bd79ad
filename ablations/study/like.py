"""Arms that begin with all that an arm of another study sets: ``like: STUDY/ARM``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from d2v_core.config.parsing import one_of
from d2v_core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from ablations.study.schema import Study

LIKE = "like"


def with_likes(
    data: dict[str, Any], read: Callable[[str], Study]
) -> tuple[dict[str, Any], list[Problem]]:
    """The content of a study file with arms in place of their names.

    Args:
        data: As in the file, not checked yet.
        read: Gives a shipped study by its name, or raises a ``ConfigError``.

    Returns:
        The content, and what is wrong with names in it. A wrong one is left out.
    """
    problems: list[Problem] = []

    def resolved(place: dict[str, Any], path: str) -> dict[str, Any]:
        rest = {key: value for key, value in place.items() if key != LIKE}
        if LIKE not in place:
            return rest
        try:
            return rest | {LIKE: _arm(place[LIKE], path, read, _modalities(data, rest))}
        except ConfigError as error:
            problems.extend(error.problems)
            return rest

    whole = resolved(data, LIKE)
    if isinstance(arms := data.get("arms"), list):
        whole["arms"] = [
            resolved(arm, f"arms.{i}.{LIKE}") if isinstance(arm, dict) else arm
            for i, arm in enumerate(arms)
        ]
    return whole, problems


def _arm(
    given: object, path: str, read: Callable[[str], Study], modalities: list[str]
) -> dict[str, Any]:
    """The arm of that name; what its study sets for all arms comes before its own."""
    name, slash, label = str(given).partition("/")
    if not isinstance(given, str) or not slash:
        raise _refused(path, f"must be STUDY/ARM, got {given!r}")
    try:
        study = read(name)
    except ConfigError as error:
        raise _refused(path, error.problems[0].message) from None
    arms = {arm.name: arm for arm in study.arms}
    if label not in arms:
        raise _refused(path, f"{name} has no such arm: {one_of(arms, label)}")
    arm = arms[label]
    if study.like or arm.like:
        raise _refused(path, f"{name}/{label} is like another arm itself; name that")
    lacking = [m for m in modalities if m not in study.metric or not arm.exists_for(m)]
    if lacking:
        raise _refused(path, f"{name}/{label} does not exist for {lacking[0]}")
    own = {"set", "set_for", "set_at"}
    common = {"name": name, **study.model_dump(include=own)}
    return {"name": label, **arm.model_dump(include=own), LIKE: common}


def _modalities(data: dict[str, Any], place: dict[str, Any]) -> list[str]:
    """Those a place of the file is for, as far as it says so readably."""
    metric, only = data.get("metric"), place.get("only")
    chosen = only if isinstance(only, list) else metric
    return list(map(str, chosen)) if isinstance(chosen, (dict, list)) else []


def _refused(path: str, message: str) -> ConfigError:
    return ConfigError([Problem(path, message)])
