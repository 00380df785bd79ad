"""Salt: single pixels that turn white."""

import numpy as np
import torch


def salt(
    images: torch.Tensor, generator: np.random.Generator, probability: float = 0.05
) -> torch.Tensor:
    """Turn pixels white, all channels of a pixel together.

    Args:
        images: uint8 of shape (batch, channels, height, width); not to be changed.
        generator: A function of seed and update.
        probability: Chance of each pixel.

    Returns:
        uint8 of the same shape.
    """
    batch, _, height, width = images.shape
    chosen = generator.random((batch, 1, height, width)) < probability
    return images.masked_fill(torch.from_numpy(chosen), 255)
