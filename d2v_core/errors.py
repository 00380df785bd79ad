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


class ConfigError(ValueError):
    """A configuration breaks rules; lists every broken rule at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


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
