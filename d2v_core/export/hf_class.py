"""What a class of Hugging Face transformers is to an export: a name and a writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OWN_ENCODER = "it is an encoder of your own"


@dataclass(frozen=True)
class HfClass:
    """A class that opens an exported encoder.

    Attributes:
        name: As transformers calls it.
        against: Why it cannot compute what an encoder does; empty: it can.
        write: Writes the folder, from encoder, folder and preprocessing (as keywords).
        remarks: What its user must know, a line each.
    """

    name: str
    against: Callable[[Any], list[str]]
    write: Callable[..., None]
    remarks: tuple[str, ...] = ()


def cannot_express(against: Mapping[str, Sequence[str]]) -> str:
    """One message of all reasons, each said once.

    Args:
        against: Reasons by the name of the class.
    """
    names: dict[str, list[str]] = {}
    for name, reasons in against.items():
        names.setdefault("; ".join(reasons), []).append(name)
    return ". ".join(
        f"Hugging Face's {' and '.join(same)} cannot express this encoder: {reasons}"
        for reasons, same in names.items()
    )
