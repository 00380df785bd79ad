"""What is wanted of the user's own code, by what it is for.

``docs/extending.md`` has an example of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What a function is called with, and what it gives.

    Attributes:
        arguments: Given in this order; settings follow as keyword arguments.
        gives: What it must give, in words.
    """

    arguments: tuple[str, ...]
    gives: str

    def call(self, name: str) -> str:
        """The call and its result, for messages."""
        return f"{name}({', '.join(self.arguments)}) -> {self.gives}"


NORM = "target normalisation"

KINDS: Mapping[str, Kind] = {
    NORM: Kind(
        ("features", "real"),
        "float tensor shaped like features (batch, tokens, dim)",
    ),
}
"""By the name that messages and ``docs/extending.md`` use."""
