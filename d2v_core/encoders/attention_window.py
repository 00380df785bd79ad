"""Self-attention restricted to the nearest positions, for any timm ViT, unchanged.

Paper Figure 3 (arXiv 2202.03555v3): the teacher's self-attention sees only "a window
around the time-step", the student everything. The paper does not say what a window is
on a grid of patches nor what becomes of the class token. Here it is the given number of
patches nearest in Euclidean distance on the grid, the patch itself first, ties in
reading order, so that the number is the same at the border. Patches do not attend to
the class token (or any other prefix token): through it every patch would see every
other in two blocks. Prefix tokens attend to everything; targets are made of patches.
With a window of all patches nothing is restricted, the class token included.

A hook hands each block's attention an additive mask: by ``attn_mask`` in the families
vision_transformer and deit, by the bias ``shared_rel_pos_bias`` in beit.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from d2v_core.encoders.encoder import Restriction

MASK_ARGUMENTS = ("attn_mask", "shared_rel_pos_bias")
"""Arguments of timm's attention layers that are added to the scores."""


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


@contextmanager
def masked_attention(
    blocks: Iterable[Any], mask: Float[Tensor, "all_tokens all_tokens"]
) -> Iterator[None]:
    """Add ``mask`` to the attention scores of all blocks while the context is open.

    Each block's attention must run in it: one that is computed elsewhere, past its
    module, would not be restricted.
    """
    handles, idle = [], set()

    def add(module: Any, inputs: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        idle.discard(module)
        name = _mask_argument(module)
        total = mask.to(inputs[0].dtype)
        if options.get(name) is not None:
            total = total + options[name]
        return inputs, {**options, name: total}

    try:
        for block in blocks:
            idle.add(block.attn)
            handles.append(block.attn.register_forward_pre_hook(add, with_kwargs=True))
        yield
        assert not idle, f"{len(idle)} attention layers ran without the restriction"
    finally:
        for handle in handles:
            handle.remove()


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

    def restrict(network: Any) -> AbstractContextManager[None]:
        nonlocal mask
        mask = mask.to(next(network.parameters()).device)  # moves once
        return masked_attention(network.vit.blocks, mask)

    return restrict


def _mask_argument(attention: Any) -> str:
    known = inspect.signature(attention.forward).parameters
    name = next((name for name in MASK_ARGUMENTS if name in known), None)
    assert name is not None, f"{type(attention).__name__} takes no mask"
    return name
