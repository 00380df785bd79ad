"""Inverse block masks of data2vec 2.0, in one and two dimensions.

arXiv 2212.07525; fairseq ``data_utils.py`` 591-723, ``compute_block_mask_1d`` and
``compute_block_mask_2d``: ``int(L (1 - R + A) / B^d)`` centres are drawn with
replacement from all ``L`` positions, each grows to a block of side ``B`` that is cut at
the edges, then single positions are added or removed at random until exactly
``int(L (1 - R))`` are left. Departures: all rows of a batch are drawn together, which
gives the same distribution; a product that is whole up to rounding counts as whole; at
least one position is kept and one hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from d2v_core.masks.tokens import TokenMask, free_tokens_mask

TINY = 1e-9
"""What floating point takes from a product that is whole, like 50 (1 - 0.8)."""


@dataclass(frozen=True)
class BlockRule:
    """How many blocks are drawn, and how much is left of them.

    Attributes:
        ratio: Share of positions that is hidden.
        block: Side of a block.
        adjust: Added to the share of blocks when their centres are counted.
        hides: Whether blocks are hidden instead of kept.
    """

    ratio: float
    block: int
    adjust: float
    hides: bool = False

    @property
    def share(self) -> float:
        """The share that the blocks make up."""
        return self.ratio if self.hides else 1.0 - self.ratio

    def num_centres(
        self, lengths: Int[np.ndarray, " rows"], dimensions: int
    ) -> Int[np.ndarray, " rows"]:
        """Centres drawn for rows of these lengths."""
        wanted = lengths * (self.share + self.adjust) / self.block**dimensions
        counts: np.ndarray = np.maximum(0, (wanted + TINY).astype(np.int64))
        return counts

    def num_left(self, lengths: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        """Positions in blocks once there are neither too many nor too few."""
        wanted = (lengths * self.share + TINY).astype(np.int64)
        return np.clip(wanted, 1, np.maximum(1, lengths - 1))

    def masked(
        self, chosen: Bool[np.ndarray, "rows tokens"]
    ) -> Bool[np.ndarray, "rows tokens"]:
        """True at hidden positions, from what the blocks choose."""
        return chosen if self.hides else ~chosen


class InverseBlockMasks:
    """Squares of patches that are kept, the same count in every image.

    Args:
        grid: Rows and columns of the patch grid.
        rule: What is drawn.
    """

    def __init__(self, *, grid: tuple[int, int], rule: BlockRule) -> None:
        self.grid, self.rule = grid, rule
        size = np.array([grid[0] * grid[1]])
        self.num_chosen = int(rule.num_left(size)[0])
        self._num_centres = int(rule.num_centres(size, 2)[0])

    def __call__(
        self, batch_size: int, generator: np.random.Generator
    ) -> Bool[np.ndarray, "batch rows columns"]:
        """Masks of shape (batch_size, rows, columns)."""
        rows, columns = self.grid
        shape = (batch_size, self._num_centres)
        top = generator.integers(rows, size=shape)
        left = generator.integers(columns, size=shape)
        ranks = generator.random((batch_size, rows * columns))
        covered = np.zeros((batch_size, rows, columns), dtype=bool)
        image = np.arange(batch_size)[:, None]
        for down, right in np.ndindex(self.rule.block, self.rule.block):
            row = np.clip(top + down - self.rule.block // 2, 0, rows - 1)
            column = np.clip(left + right - self.rule.block // 2, 0, columns - 1)
            covered[image, row, column] = True
        counts = np.full(batch_size, self.num_chosen)
        chosen = exactly(covered.reshape(batch_size, -1), ranks, counts)
        return self.rule.masked(chosen).reshape(covered.shape)


def inverse_block_rows(
    lengths: Sequence[int], generator: np.random.Generator, rule: BlockRule
) -> Bool[np.ndarray, "rows longest"]:
    """True at hidden positions of rows; false beyond a row's end.

    Args:
        lengths: Positions of each row that may be hidden, at least 2.
        generator: Draws centres and what is added or removed.
        rule: What is drawn.
    """
    size = np.array(lengths)
    counts, longest = rule.num_centres(size, 1), int(size.max())
    most = int(counts.max(initial=0))
    centres = (generator.random((len(size), most)) * size[:, None]).astype(np.int64)
    ranks = generator.random((len(size), longest))
    drawn = np.arange(most) < counts[:, None]
    covered = np.zeros((len(size), longest), dtype=bool)
    row, which = np.nonzero(drawn)
    for step in range(rule.block):
        place = centres[row, which] + step - rule.block // 2
        covered[row, np.clip(place, 0, size[row] - 1)] = True
    beyond = np.arange(longest) >= size[:, None]
    ranks[beyond] = np.inf
    chosen = exactly(covered, ranks, rule.num_left(size))
    mask: Bool[np.ndarray, "rows longest"] = rule.masked(chosen) & ~beyond
    return mask


def exactly(
    covered: Bool[np.ndarray, "rows tokens"],
    ranks: Float[np.ndarray, "rows tokens"],
    counts: Int[np.ndarray, " rows"],
) -> Bool[np.ndarray, "rows tokens"]:
    """Add to or remove from each row at random until ``counts`` are left.

    Args:
        covered: What there is.
        ranks: Random numbers below 1 that decide; infinite where nothing may be.
        counts: Wanted of each row.
    """
    order = np.where(covered, ranks - 1.0, ranks).argsort(axis=1)  # covered first
    chosen = np.zeros_like(covered)
    first = np.arange(covered.shape[1]) < counts[:, None]
    np.put_along_axis(chosen, order, first, axis=1)
    return chosen


@dataclass(frozen=True)
class InverseBlockTokens:
    """Runs of tokens that are kept; special tokens and padding are passed over.

    Attributes:
        rule: What is drawn, among the tokens that may be hidden.
    """

    rule: BlockRule

    def __call__(
        self, fixed: Bool[np.ndarray, "batch tokens"], generator: np.random.Generator
    ) -> TokenMask:
        """The mask of a batch; a row of a single free token hides it."""
        draw = partial(inverse_block_rows, generator=generator, rule=self.rule)
        return free_tokens_mask(fixed, draw)
