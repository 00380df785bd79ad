"""What the text encoder reads: rows of token ids, and the ids with a meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool

from d2v_core.encoders.inputs import Padded

BOS, PAD, EOS, UNK, MASK = range(5)
"""RoBERTa's and Hugging Face's ids (there ``<mask>`` is the last one)."""
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""In the order of their ids."""


@dataclass(frozen=True)
class TokenRows(Padded):
    """Rows of token ids, padded with :data:`PAD`.

    Attributes:
        fixed: True at special tokens and padding, which are never masked; of the whole
            batch, also where these rows are a part of it. On the CPU, whatever the ids
            are on: masks are decided there.
    """

    fixed: Bool[np.ndarray, "batch tokens"]

    def part(self, rows: slice) -> TokenRows:
        """Some rows, as long as before."""
        return replace(self, values=self.values[rows], lengths=self.lengths[rows])


def pad_rows(rows: Sequence[np.ndarray]) -> TokenRows:
    """Rows as a batch as long as its longest row.

    Args:
        rows: Token ids, special ones included, at least one each.
    """
    lengths = tuple(len(row) for row in rows)
    ids = np.full((len(rows), max(lengths)), PAD, dtype=np.int64)
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = row
    return TokenRows(
        values=torch.from_numpy(ids),
        lengths=lengths,
        fixed=ids < len(SPECIAL_TOKENS),
    )
