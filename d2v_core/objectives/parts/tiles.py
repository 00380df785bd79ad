"""Tiles of an image, each encoded as if nothing else were there.

What Doersch et al. 2015 and Noroozi and Favaro 2016 do with a convolutional network on
each tile: here the tiles are laid on whole patches of the encoder's grid, and each is
encoded on its own, its patches being the only tokens that are kept. So no attention
passes between tiles, and the work is that of as many patches.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from d2v_core.encoders.encoder import Encoder, Tokens
from d2v_core.encoders.kept import Kept


def cut(
    images: Float[Tensor, "batch channels height width"],
    tops: Int[np.ndarray, "batch tiles"],
    lefts: Int[np.ndarray, "batch tiles"],
    side: int,
) -> Float[Tensor, "batch tiles channels side side"]:
    """Squares of an image by their upper left corners."""
    along = np.arange(side)
    rows = torch.from_numpy(tops[:, :, None] + along)[:, :, :, None]
    columns = torch.from_numpy(lefts[:, :, None] + along)[:, :, None, :]
    batch = torch.arange(len(images))[:, None, None, None]
    # Indices on both sides of the channels put these last.
    return images[batch, :, rows, columns].permute(0, 1, 4, 2, 3)


def patches_of(
    tops: Int[np.ndarray, "*rows"],
    lefts: Int[np.ndarray, "*rows"],
    side: int,
    num_columns: int,
) -> Int[np.ndarray, "*rows tokens"]:
    """Token numbers of squares of patches by their upper left patches."""
    along = np.arange(side)
    rows = tops[..., None, None] + along[:, None]
    columns = lefts[..., None, None] + along
    numbers: np.ndarray = rows * num_columns + columns
    return numbers.reshape(*numbers.shape[:-2], side * side)


def encoded_tiles(
    encoder: Encoder, tokens: Tokens, index: Int[Tensor, "batch tiles patches"]
) -> Float[Tensor, "batch tiles dim"]:
    """Mean of the final tokens of each tile, encoded on its own.

    Args:
        encoder: Image encoder.
        tokens: All patches of images on which the tiles lie.
        index: The patches of each tile.
    """
    batch, num_tiles, _ = index.shape
    values = tokens.values.repeat_interleave(num_tiles, dim=0)
    kept = Kept(index.flatten(0, 1), None)
    encoded = encoder.encode(Tokens(values), keep=kept).tokens
    return encoded.mean(dim=1).view(batch, num_tiles, -1)
