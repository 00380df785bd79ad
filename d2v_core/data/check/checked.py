"""What is said of a folder, in plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2v_core.data.inventory import Inventory
from d2v_core.sizing import DataFacts

NUM_SAMPLES = 12
"""Samples that are shown."""


@dataclass(frozen=True)
class Shown:
    """One sample.

    Attributes:
        name: Its file, below the folder.
        about: Size, duration, class ...
        picture: A PNG; None: it is a text.
        text: Its beginning, of texts.
    """

    name: str
    about: str
    picture: bytes | None = None
    text: str = ""


@dataclass(frozen=True)
class Checked:
    """What a folder is understood as.

    Attributes:
        modality: ``vision``, ``speech`` or ``text``.
        source: The value of ``data.source`` that reads it.
        labelled: Whether it has labels a probe can use.
        facts: What is to be known, each with its name.
        warnings: What may be a mistake, or too little.
        samples: Some of it.
        sizes: What a recipe for it needs to know.
    """

    modality: str
    source: str
    labelled: bool
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    samples: tuple[Shown, ...]
    sizes: DataFacts

    def __post_init__(self) -> None:
        """Say each warning once: of data, and of who looked at it."""
        object.__setattr__(self, "warnings", tuple(dict.fromkeys(self.warnings)))


def inventory_facts(inventory: Inventory) -> list[tuple[str, str]]:
    """How many, in which split, and what was left out and why."""
    used = sum(inventory.used.values())
    splits = ", ".join(f"{name} {count:,}" for name, count in inventory.used.items())
    content = inventory.content()["left_out"]
    left_out = ", ".join(f"{count:,} {why}" for why, count in content.items())
    return [
        (inventory.unit, f"{used:,}"),
        ("split", splits),
        ("left out", left_out or "nothing"),
    ]


def spread(count: int, wanted: int = NUM_SAMPLES) -> list[int]:
    """Choose so many positions of all, evenly spread, always the same."""
    places = np.linspace(0, count - 1, min(count, wanted))
    return sorted({int(place) for place in places}) if count else []


def extent(values: Sequence[float] | Sequence[int], write: str = "{:,.0f}") -> str:
    """Write the smallest, middle and largest of some values."""
    low, middle, high = np.quantile(np.array(values), [0.0, 0.5, 1.0])
    if low == high:
        return f"{write.format(low)} in all"
    shown = (write.format(value) for value in (low, middle, high))
    smallest, median, largest = shown
    return f"{smallest} to {largest}, median {median}"
