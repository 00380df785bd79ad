"""Parsing of plain data into frozen sections, with errors a user can act on.

pydantic finds every mistake at once; this file turns each into one sentence of the form
"must be ..., got ...; did you mean ...?" at a dotted path.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from d2v_core.config.base import sections_in
from d2v_core.config.own import settled
from d2v_core.config.registry import TRIAL_TYPES
from d2v_core.config.trial import TrialConfig
from d2v_core.errors import MAX_SHOWN, ConfigError, Problem, shown

Model = TypeVar("Model", bound=BaseModel)


def parse_trial(data: Mapping[str, Any]) -> TrialConfig:
    """Validate plain data into the trial type of its modality.

    Args:
        data: References to own code that are not settled yet start where the command
            was typed.

    Raises:
        ConfigError: Every broken rule, each with its dotted path.
    """
    modality = data.get("modality")
    if not isinstance(modality, str) or modality not in TRIAL_TYPES:
        raise ConfigError(
            [Problem("modality", one_of(TRIAL_TYPES, modality))],
        )
    model = TRIAL_TYPES[modality]
    return parse_section(model, settled(model, data, lambda path: Path.cwd()))


def parse_section(model: type[Model], data: Any) -> Model:
    """Validate plain data into ``model``.

    Raises:
        ConfigError: Every broken rule, each with its dotted path.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = _translate(model, data, error)
        repaired = _repaired(model, data, error)
    # Rules across sections are only looked at once every field is valid: repair what
    # can be guessed and look again, so that all mistakes are named at once.
    try:
        model.model_validate(repaired)
    except ValidationError as error:
        again, known = (
            _translate(model, repaired, error),
            [f"{p.path}." for p in problems],
        )
        problems += [p for p in again if not _holds(p.path, known)]
    raise ConfigError(problems)


def _holds(path: str, others: Iterable[str]) -> bool:
    """Whether another path is this one or lies below it."""
    return any(other.startswith(f"{path}.") for other in others)


def _translate(
    model: type[BaseModel], data: Any, error: ValidationError
) -> list[Problem]:
    problems = [
        problem
        for details in error.errors()
        for problem in _problems(model, data, details)
    ]
    return _join_alternatives(problems)


def _repaired(model: type[BaseModel], data: Any, error: ValidationError) -> Any:
    """A copy of the data without its broken values; misspelt keys are put right."""
    repaired = copy.deepcopy(data)
    for details in error.errors():
        *parents, last = data_path(data, details["loc"]) or ("",)
        place = repaired
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.get(part, {})
        if not isinstance(place, dict) or last not in place:
            continue
        value = place.pop(last)  # its default breaks no rule: other rules are seen
        if details["type"] == "extra_forbidden":
            meant = _closest(known_settings(model, details["loc"][:-1]), last)
            if meant is not None:
                place.setdefault(meant, value)
    return repaired


def one_of(names: Iterable[str], given: object) -> str:
    """The sentence for a value outside a set of names, with the nearest one."""
    known = sorted(names)
    return (
        f"must be one of {', '.join(known)}, got {shown(given)}{nearest(known, given)}"
    )


def nearest(names: Iterable[str], given: object) -> str:
    """``"; did you mean 'x'?"`` when a known name is close, else nothing."""
    close = _closest(names, given)
    return f"; did you mean {close!r}?" if close else ""


def _closest(names: Iterable[str], given: object) -> str | None:
    text = given[:MAX_SHOWN] if isinstance(given, str) else shown(given)
    # difflib's own cutoff: higher misses two swapped letters of a short name.
    close = difflib.get_close_matches(text, list(names), n=1, cutoff=0.6)
    return close[0] if close else None


def _join_alternatives(problems: list[Problem]) -> list[Problem]:
    """One problem per path: the members of a plain union each complain.

    Where one member's complaint lies deeper, it is the one that was meant.
    """
    messages: dict[str, list[str]] = {}
    for problem in problems:
        if any(p.path.startswith(f"{problem.path}.") for p in problems):
            continue
        messages.setdefault(problem.path, []).append(problem.message)
    return [Problem(path, " or ".join(texts)) for path, texts in messages.items()]


def _problems(
    model: type[BaseModel], data: Any, details: ErrorDetails
) -> list[Problem]:
    context = details.get("ctx", {})
    if details["type"] == "across_sections":
        return list(context["problems"])
    location = data_path(data, details["loc"], keep_last=details["type"] == "missing")
    path = ".".join(str(part) for part in location)
    if details["type"] == "extra_forbidden":
        known = known_settings(model, details["loc"][:-1])
        return [Problem(path, _unknown(known, location[-1]))]
    if details["type"] == "invalid_key":
        where = ".".join(filter(None, (path, str(details["input"]))))
        message = "must be the name of a setting, which is a text"
        return [Problem(where, f"{message}, got {shown(details['input'])}")]
    if details["type"] == "union_tag_invalid":
        tags = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
        tag = context["discriminator"].strip("'")
        return [Problem(f"{path}.{tag}", one_of(tags, context["tag"]))]
    return [Problem(path, _sentence(details, context))]


def _unknown(known: list[str], given: object) -> str:
    hint = nearest(known, given)
    return f"unknown setting{hint or '; known here: ' + ', '.join(known)}"


def _sentence(details: ErrorDetails, context: Mapping[str, Any]) -> str:
    given = details["input"]
    match details["type"]:
        case "missing":
            return "is required and was not given"
        case "literal_error":
            names = [part.strip("' ") for part in _split_expected(context["expected"])]
            return one_of(names, given)
        case "union_tag_not_found":
            return f"needs the key {context['discriminator']}"
        case "value_error":
            return f"{context['error']}"
        case _:
            message = details["msg"].removeprefix("Input should be ")
            message = message.removeprefix("Input should ")
            verb = "must be" if message != details["msg"] else "must hold:"
            return f"{verb} {message[0].lower()}{message[1:]}, got {shown(given)}"


def _split_expected(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(", ")


def data_path(
    data: Any, location: tuple[int | str, ...], *, keep_last: bool = False
) -> tuple[int | str, ...]:
    """Drop the parts of a pydantic location that name union members, not keys.

    Args:
        data: The data that was validated.
        location: Where pydantic says the error is.
        keep_last: Whether the last part names a key although the data lacks it.
    """
    path: list[int | str] = []
    for position, part in enumerate(location):
        last = keep_last and position == len(location) - 1
        if isinstance(data, Mapping):
            if part not in data and not last:
                continue
            data = data.get(part)
        elif isinstance(data, list | tuple) and isinstance(part, int):
            data = data[part] if part < len(data) else None
        else:
            continue
        path.append(part)
    return tuple(path)


def known_settings(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> list[str]:
    """Names of the settings at a pydantic location below ``model``."""
    candidates: list[type[BaseModel]] = [model]
    for part in location:
        narrowed = [
            inner
            for candidate in candidates
            if isinstance(part, str) and part in candidate.model_fields
            for inner in sections_in(candidate.model_fields[part].annotation)
        ]
        tagged = [c for c in candidates if part in _tags(c)]
        candidates = narrowed or tagged or candidates
    return sorted({name for c in candidates for name in c.model_fields})


def _tags(model: type[BaseModel]) -> set[Any]:
    """The values of a model's literal fields: what can tell union members apart."""
    return {
        value
        for field in model.model_fields.values()
        if "Literal" in str(field.annotation)
        for value in getattr(field.annotation, "__args__", ())
    }
