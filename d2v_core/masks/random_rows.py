"""Independent positions of rows: frames and tokens, as many as a share says.

The counterpart in one dimension of :class:`d2v_core.masks.patches.RandomMasks`: every
row hides exactly ``round(ratio * length)`` of its positions, at least one, and shows at
least one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool

from d2v_core.masks.inverse_block import exactly
from d2v_core.masks.tokens import TokenMask, free_tokens_mask


def random_rows(
    lengths: Sequence[int], generator: np.random.Generator, *, ratio: float
) -> Bool[np.ndarray, "rows longest"]:
    """True at hidden positions of rows; false beyond a row's end.

    Args:
        lengths: Positions of each row that may be hidden, at least 2.
        generator: Draws them.
        ratio: Share of a row that is hidden, in (0, 1).
    """
    size = np.array(lengths)
    ranks = generator.random((len(size), int(size.max())))
    ranks[np.arange(ranks.shape[1]) >= size[:, None]] = np.inf
    counts = np.clip(np.rint(ratio * size).astype(np.int64), 1, size - 1)
    return exactly(np.zeros(ranks.shape, dtype=bool), ranks, counts)


@dataclass(frozen=True)
class RandomTokens:
    """Independent tokens; special tokens and padding are passed over.

    Attributes:
        ratio: Share of the tokens that may be hidden.
    """

    ratio: float

    def __call__(
        self, fixed: Bool[np.ndarray, "batch tokens"], generator: np.random.Generator
    ) -> TokenMask:
        """The mask of a batch; a row of a single free token hides it."""
        draw = partial(random_rows, generator=generator, ratio=self.ratio)
        return free_tokens_mask(fixed, draw)
