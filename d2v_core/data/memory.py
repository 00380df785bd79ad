"""Data sets that this process holds in memory, by the digest of their content."""

from __future__ import annotations

from typing import Any

from d2v_core.config.memory import MemoryData
from d2v_core.errors import DataError

_held: dict[str, Any] = {}


def hold(data: MemoryData, dataset: Any) -> None:
    """Make a data set known to the modalities of this process."""
    _held[data.digest] = dataset


def held(data: MemoryData) -> Any:
    """The data set that a configuration means.

    Raises:
        DataError: It was another process that had it.
    """
    if data.digest not in _held:
        raise DataError(
            f"data.source: memory: the samples {data.digest} were given to a program "
            "that has ended; give them to d2v_core.pretrain again, or write them to a "
            "folder"
        )
    return _held[data.digest]
