"""Rows of token ids in memory or memory-mapped: one flat array and where rows begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RowStore:
    """Rows one after the other.

    Attributes:
        ids: All token ids, of any unsigned integer type.
        starts: First position of each row, and the end of the last: one more than rows.
    """

    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def read(self, indices: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Read rows, as int64."""
        return [
            self.ids[self.starts[i] : self.starts[i + 1]].astype(np.int64)
            for i in indices
        ]


def store_rows(rows: Sequence[np.ndarray]) -> RowStore:
    """Put rows into memory."""
    starts = np.cumsum([0, *map(len, rows)])
    return RowStore(np.concatenate(rows).astype(np.uint32), starts)
