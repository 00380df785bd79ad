"""From a settled reference to the function, checked.

The text that travels in the configuration is what runs, wherever that is, so that the
digest in the key is of what has run. The file's folder is not searched for imports: a
file may import installed packages, and what else it needs stands in it.
"""

from __future__ import annotations

import importlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

import torch
from pydantic import BaseModel

from d2v_core.config.own import (
    Reference,
    digest_of,
    marked,
    package_digest,
    reference_in,
)
from d2v_core.config.trial import TrialConfig
from d2v_core.errors import ConfigError, Problem, shown
from d2v_core.own.kinds import KINDS

Answer = TypeVar("Answer")
NUM_TRIED = 1_000
"""Places of a schedule that are looked at before anything starts."""
GUIDE = "docs/extending.md shows one"
_last: dict[str, tuple[str, Any]] = {}


def check_own(trial: TrialConfig) -> None:
    """Load everything of the user's own that a trial names.

    Raises:
        ConfigError: Each that cannot be imported, is not there, or cannot be called as
            it will be.
    """
    problems: list[Problem] = []
    for path, kind, given, settings in _used(trial, ""):
        try:
            own(trial, path, kind, given, settings)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def own(
    trial: TrialConfig,
    path: str,
    kind: str,
    given: str,
    settings: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """The function that a reference names, with its settings.

    Args:
        trial: The configuration, which holds the sources.
        path: Path of the setting, for messages.
        kind: What it is for; see :data:`d2v_core.own.kinds.KINDS`.
        given: The reference.
        settings: Further keyword arguments.

    Raises:
        ConfigError: It cannot be imported, is not there, or cannot be called like that.
    """
    reference, wanted = reference_in(given), KINDS[kind]
    assert reference is not None
    try:
        function = getattr(_module(reference, trial.sources), reference.name, None)
        if not callable(function):
            raise ValueError(f"there is no function {reference.name} in it")
        inspect.signature(function).bind(*wanted.arguments, **(settings or {}))
    except (ValueError, TypeError) as error:
        raise _refusal(path, kind, given, str(error)) from None
    return partial(function, **settings) if settings else function


def tried(path: str, kind: str, given: str, call: Callable[[], Answer]) -> Answer:
    """What a first call gives, before anything starts; random numbers stay as they are.

    Args:
        path: Path of the setting, for messages.
        kind: What the function is for.
        given: The reference.
        call: Calls it, on the CPU, and raises ValueError if the answer is wrong.

    Raises:
        ConfigError: The call raised.
    """
    try:
        # The networks around it may be without memory: the numbers here have some.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
            return call()
    except ConfigError:
        raise
    except Exception as error:  # whatever the user's code raises
        where = _last_line(error)
        reason = f"a first call gave {type(error).__name__}: {error}{where}"
        raise _refusal(path, kind, given, reason) from error


def given_once(kind: str, asked: str, make: Callable[[], Answer]) -> Answer:
    """The answer to a question, made anew only where the last one was another.

    Who plans asks a data source for its digest, then loads it: once is enough.

    Args:
        kind: What the function is for; each has a last answer of its own.
        asked: All that the answer depends on.
        make: Gives it.
    """
    if _last.get(kind, ("", None))[0] != asked:
        _last.pop(kind, None)  # its memory first
        _last[kind] = asked, make()
    answer: Answer = _last[kind][1]
    return answer


def share(value: Any, where: str) -> float:
    """What a schedule gave, as a number from 0 to 1.

    Args:
        value: Given.
        where: The place in the schedule, for messages.

    Raises:
        ValueError: It is another number, or none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"gave {shown(value)} {where}") from None
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"gave {number} {where}")
    return number


def _refusal(path: str, kind: str, given: str, reason: str) -> ConfigError:
    name = given.partition("@")[0].partition(":")[2]
    article = "an" if kind[0] in "aeio" else "a"
    wanted = f"must be {article} {kind}, {KINDS[kind].call(name)} ({GUIDE})"
    return ConfigError(
        [Problem(path, f"{wanted}; {given.partition('@')[0]}: {reason}")]
    )


def _used(
    section: BaseModel, prefix: str
) -> Iterator[tuple[str, str, str, Mapping[str, Any] | None]]:
    """Path, kind, reference and settings of each that a section names."""
    for name, mark in marked(type(section)).items():
        value = getattr(section, name)
        settings = getattr(section, mark.settings) if mark.settings else None
        for one in value if isinstance(value, tuple) else (value,):
            if reference_in(one):
                yield f"{prefix}{name}", mark.kind, one, settings
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _used(value, f"{prefix}{name}.")


def _module(reference: Reference, sources: Mapping[str, str]) -> ModuleType:
    """The module of a reference, imported once in a process.

    Raises:
        ValueError: It cannot be imported, or is not what the reference was settled to.
    """
    if not reference.digest:
        raise ValueError("is not settled: d2v_core.config.parse_trial does that")
    if not reference.is_file:
        return _package_module(reference)
    name = f"d2v_own_{reference.digest}"
    if name in sys.modules:
        return sys.modules[name]
    source = sources.get(reference.digest, "")
    if digest_of(source) != reference.digest:
        raise ValueError("its source is not in the configuration; name it without @…")
    return _executed(name, f"<{reference.place}@{reference.digest}>", source)


def _executed(name: str, file: str, source: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = file
    # Tracebacks, inspect and torch.compile read the lines here: there may be no file.
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    sys.modules[name] = module  # dataclasses look their module up
    try:
        exec(compile(source, file, "exec"), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception | SystemExit):
            raise
        raise ValueError(_import_failure(error)) from None
    return module


def _package_module(reference: Reference) -> ModuleType:
    installed = package_digest(reference.place.partition(".")[0])
    if installed != reference.digest:
        here = "is another version" if installed else "is not installed"
        raise ValueError(f"this package {here} on this machine, in {sys.prefix}")
    try:
        return importlib.import_module(reference.place)
    except Exception as error:  # whatever the package raises
        raise ValueError(_import_failure(error)) from None


def _import_failure(error: BaseException) -> str:
    reason = f"importing it gave {type(error).__name__}: {error}{_last_line(error)}"
    if isinstance(error, ImportError):
        reason += "; a file may import installed packages only, not files beside it"
    return reason


def _last_line(error: BaseException) -> str:
    """Where in the user's code an error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if frame.filename.startswith("<")]
    lines = [frame for frame in lines if "@" in frame.filename]
    return f" (line {lines[-1].lineno})" if lines else ""
