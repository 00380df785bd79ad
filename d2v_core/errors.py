"""The errors a user of the core can meet; all derive from ``ValueError`` or say when.

Users' mistakes are :class:`ConfigError` and :class:`DataError`; what goes wrong during
training is :class:`DivergedError`. Everything else that escapes is a fault of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One broken rule of a configuration.

    Attributes:
        path: Dotted path of the setting, ``"target.top_k"``.
        message: What must hold and what was given.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


MAX_SHOWN = 120
"""Characters of a given value that a message repeats."""


def shown(value: object) -> str:
    """A value as messages repeat it: in one line, and not all of a long one."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


class ConfigError(ValueError):
    """A configuration breaks rules; lists every broken rule at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def refused(path: str, message: str) -> ConfigError:
    """The refusal of one setting or argument."""
    return ConfigError([Problem(path, message)])


class DataError(ValueError):
    """Data is missing or broken; the message says where and what to do."""


class DivergedError(RuntimeError):
    """A loss or gradient stopped being finite.

    Attributes:
        step: Number of the optimiser update that would have come next, from 1.
        cause: The quantity that is not finite, and its value.
    """

    def __init__(self, step: int, cause: str) -> None:
        self.step = step
        self.cause = cause
        super().__init__(f"diverged at step {step}: {cause}")
