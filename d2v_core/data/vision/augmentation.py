"""Random changes of a batch of images; every draw comes from a given generator.

Each of several workers draws for the whole batch and changes its own images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from d2v_core.data.vision.images import Box
from d2v_core.training.parallel import ALONE, Workers

Images = UInt8[Tensor, "batch channels height width"]
RandomChange = Callable[[Images, np.random.Generator], Images]


def random_shift(
    images: UInt8[Tensor, "batch channels height width"],
    max_shift: int,
    generator: np.random.Generator,
    workers: Workers = ALONE,
) -> UInt8[Tensor, "batch channels height width"]:
    """Move each image by up to ``max_shift`` whole pixels; edge pixels are repeated."""
    batch, _, height, width = images.shape
    size = workers.whole(batch)
    shift = torch.from_numpy(
        generator.integers(-max_shift, max_shift + 1, size=(2, size, 1))
    )[:, workers.rows(size)]
    rows = (torch.arange(height) + shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width) + shift[1]).clamp(0, width - 1)
    samples = torch.arange(batch)[:, None, None]
    picked = images.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()


def random_flip(
    images: UInt8[Tensor, "batch channels height width"],
    generator: np.random.Generator,
    workers: Workers = ALONE,
) -> UInt8[Tensor, "batch channels height width"]:
    """Mirror each image left to right with probability one half."""
    size = workers.whole(len(images))
    chosen = torch.from_numpy(generator.random(size) < 0.5)[workers.rows(size)]
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def random_boxes(
    batch_size: int, min_scale: float, generator: np.random.Generator
) -> list[Box]:
    """Draw boxes of the standard random resized crop on square images.

    Area uniform in [``min_scale``, 1], aspect log-uniform in [3/4, 4/3]; ten tries,
    then the whole image.
    """
    return [_random_box(min_scale, generator) for _ in range(batch_size)]


def _random_box(min_scale: float, generator: np.random.Generator) -> Box:
    for _ in range(10):
        area = generator.uniform(min_scale, 1.0)
        aspect = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if width <= 1.0 and height <= 1.0:
            left = generator.uniform(0.0, 1.0 - width)
            top = generator.uniform(0.0, 1.0 - height)
            return left, top, left + width, top + height
    return 0.0, 0.0, 1.0, 1.0


def jitter_colors(
    images: UInt8[Tensor, "batch channels height width"],
    strength: float,
    generator: np.random.Generator,
    workers: Workers = ALONE,
) -> UInt8[Tensor, "batch channels height width"]:
    """Scale brightness, contrast and saturation by factors in 1 +- ``strength``.

    In this fixed order (torchvision's ``ColorJitter`` shuffles it).
    """
    size = workers.whole(len(images))
    factors = generator.uniform(1 - strength, 1 + strength, size=(3, size))
    mine = factors[:, workers.rows(size)]
    brightness, contrast, saturation = torch.from_numpy(mine).float()
    pixels = images.float() * brightness.view(-1, 1, 1, 1)
    level = _grey(pixels).mean(dim=(1, 2, 3), keepdim=True)
    pixels = torch.lerp(level, pixels, contrast.view(-1, 1, 1, 1))
    pixels = torch.lerp(_grey(pixels), pixels, saturation.view(-1, 1, 1, 1))
    return pixels.round().clamp(0, 255).byte()


def _grey(
    pixels: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch 1 height width"]:
    if pixels.shape[1] != 3:
        return pixels.mean(dim=1, keepdim=True)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (pixels * weights).sum(dim=1, keepdim=True)
