"""Self-attention restricted to the nearest positions, for any timm ViT, unchanged.

Paper Figure 3 (arXiv 2202.03555v3): the teacher's self-attention sees only "a window
around the time-step", the student everything. The paper does not say what a window is
on a grid of patches nor what becomes of the class token. Here it is the given number of
patches nearest in Euclidean distance on the grid, the patch itself first, ties in
reading order, so that the number is the same at the border. Patches do not attend to
the class token (or any other prefix token): through it every patch would see every
other in two blocks. Prefix tokens attend to everything; targets are made of patches.
With a window of all patches nothing is restricted, the class token included.

The encoder adds the mask to the attention scores of every block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from d2v_core.encoders.encoder import Restriction


def nearest_positions(
    grid: tuple[int, int], num_positions: int
) -> Bool[Tensor, "tokens tokens"]:
    """For each patch (row), true at the patches nearest to it (columns).

    Args:
        grid: Rows and columns of patches.
        num_positions: True entries of every row, the patch itself included.
    """
    rows, columns = torch.meshgrid(*map(torch.arange, grid), indexing="ij")
    place = torch.stack((rows.flatten(), columns.flatten()), dim=1)
    distance = (place[:, None] - place[None]).square().sum(dim=2)  # whole: exact ties
    order = distance.argsort(dim=1, stable=True)[:, :num_positions]
    return torch.zeros_like(distance, dtype=torch.bool).scatter_(1, order, True)


def additive_mask(
    allowed: Bool[Tensor, "tokens tokens"], num_prefix_tokens: int
) -> Float[Tensor, "all_tokens all_tokens"]:
    """Minus infinity where a token must not attend, else 0.

    Args:
        allowed: Patches (columns) each patch (row) may attend to.
        num_prefix_tokens: Tokens before the patches: they attend to everything, and no
            patch attends to them.
    """
    size = len(allowed) + num_prefix_tokens
    mask = torch.zeros(size, size, device=allowed.device)
    mask[num_prefix_tokens:] = -torch.inf
    mask[num_prefix_tokens:, num_prefix_tokens:].masked_fill_(allowed, 0.0)
    return mask


def window_size(share: float | None, num_tokens: int) -> int:
    """Positions in a window: a share of all, rounded, at least one; None: all."""
    return num_tokens if share is None else max(1, round(share * num_tokens))


def attention_window(
    grid: tuple[int, int], num_prefix_tokens: int, share: float | None
) -> Restriction:
    """A context in which a timm ViT attends to a share of its positions.

    Args:
        grid: Rows and columns of patches.
        num_prefix_tokens: Tokens before the patches.
        share: Part of the patches, in (0, 1], rounded to at least one; None: all.
    """
    num_tokens = grid[0] * grid[1]
    num_positions = window_size(share, num_tokens)
    if num_positions == num_tokens:
        return lambda network: nullcontext()
    allowed = nearest_positions(grid, num_positions)
    mask = additive_mask(allowed, num_prefix_tokens)

    @contextmanager
    def restrict(network: Any) -> Iterator[None]:
        nonlocal mask
        mask = mask.to(next(network.parameters()).device)  # moves once
        network.window = mask
        try:
            yield
        finally:
            network.window = None

    return restrict
