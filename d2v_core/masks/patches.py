"""Which positions the student does not see.

Block-wise masks follow BEiT's generator as the data2vec vision code uses it
(``data2vec_vision`` at af9a3634, ``beit/masking_generator.py``). Departures: all images
of a batch advance together (the same distribution, fewer Python steps), and an image
that would come out without any mask gets one random patch.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

MAX_TRIES = 10
"""Failed proposals in a row after which BEiT stops adding blocks to an image."""

Mask = Bool[np.ndarray, "batch rows columns"]


@runtime_checkable
class PatchMasks(Protocol):
    """Draws the masks of a batch."""

    def __call__(self, batch_size: int, generator: np.random.Generator) -> Mask:
        """True where the student's input is replaced by the mask token."""
        ...


class RandomMasks:
    """Independent patches, the same count in every image.

    Args:
        grid: Rows and columns of the patch grid.
        ratio: Share of patches, rounded to whole patches, at least one.
    """

    def __init__(self, *, grid: tuple[int, int], ratio: float) -> None:
        self.grid = grid
        self.num_masked = num_patches_to_mask(grid, ratio)

    def __call__(self, batch_size: int, generator: np.random.Generator) -> Mask:
        """Masks of shape (batch_size, rows, columns)."""
        ranks = generator.random((batch_size, self.grid[0] * self.grid[1]))
        order = ranks.argsort(axis=1).argsort(axis=1)
        return (order < self.num_masked).reshape(batch_size, *self.grid)


class BlockMasks:
    """Rectangles of random area and aspect until the wanted count is reached.

    The count never exceeds ``round(ratio * patches)`` and varies per image below it.

    Args:
        grid: Rows and columns of the patch grid.
        ratio: Share of patches, rounded to whole patches, at least one.
        min_patches: Smallest proposed area; when fewer patches are left to mask, areas
            are drawn between the two, as in the reference.
        max_patches: Largest proposed area; None for no limit but what is left.
        min_aspect: Smallest height over width; the largest is its inverse.
    """

    def __init__(
        self,
        *,
        grid: tuple[int, int],
        ratio: float,
        min_patches: int = 16,
        max_patches: int | None = None,
        min_aspect: float = 0.3,
    ) -> None:
        self.grid = grid
        self.num_masked = num_patches_to_mask(grid, ratio)
        self.min_patches = min_patches
        self.max_patches = max_patches or grid[0] * grid[1]
        self.max_log_aspect = -float(np.log(min_aspect))

    def __call__(self, batch_size: int, generator: np.random.Generator) -> Mask:
        """Masks of shape (batch_size, rows, columns)."""
        mask = np.zeros((batch_size, *self.grid), dtype=bool)
        failures = np.zeros(batch_size, dtype=np.int64)
        active = np.arange(batch_size)
        while active.size:
            left = self.num_masked - mask[active].sum(axis=(1, 2))
            cap = np.minimum(left, self.max_patches)
            block, fits = self._propose(cap, generator)
            added = block & ~mask[active]
            num_added = added.sum(axis=(1, 2))
            accepted = fits & (num_added > 0) & (num_added <= cap)
            mask[active[accepted]] |= added[accepted]
            failures[active] = np.where(accepted, 0, failures[active] + 1)
            done = (accepted & (num_added >= left)) | (failures[active] >= MAX_TRIES)
            active = active[~done]
        _fill_empty(mask, generator)
        return mask

    def _propose(
        self, cap: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """One rectangle per image, and whether it is smaller than the grid."""
        rows, columns = self.grid
        draws = generator.random((4, cap.size))
        area = self.min_patches + (cap - self.min_patches) * draws[0]
        aspect = np.exp(self.max_log_aspect * (2.0 * draws[1] - 1.0))
        height = np.rint(np.sqrt(area * aspect)).astype(np.int64)
        width = np.rint(np.sqrt(area / aspect)).astype(np.int64)
        fits = (height < rows) & (width < columns)
        top = (draws[2] * (rows - height + 1)).astype(np.int64)
        start = (draws[3] * (columns - width + 1)).astype(np.int64)
        return rectangle(top, height, rows)[:, :, None] & rectangle(
            start, width, columns
        )[:, None, :], fits


def rectangle(start: np.ndarray, length: np.ndarray, size: int) -> np.ndarray:
    """True on ``[start, start + length)`` of an axis, one row per image."""
    axis = np.arange(size)
    begin = start[:, None]
    inside: np.ndarray = (axis >= begin) & (axis < begin + length[:, None])
    return inside


def num_patches_to_mask(grid: tuple[int, int], ratio: float) -> int:
    """Patches a ratio stands for on a grid: at least one, and one stays visible."""
    patches = grid[0] * grid[1]
    return min(max(1, round(ratio * patches)), patches - 1)


def _fill_empty(mask: np.ndarray, generator: np.random.Generator) -> None:
    flat = mask.reshape(len(mask), -1)
    empty = np.flatnonzero(~flat.any(axis=1))
    flat[empty, generator.integers(flat.shape[1], size=empty.size)] = True
