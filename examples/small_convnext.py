"""A small ConvNeXt (Liu et al. 2022, arXiv 2201.03545) of one stage, as encoder.

All blocks are at one resolution, so that each patch has a token, as masked prediction
needs it.
"""

from typing import Any

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Depthwise convolution, then two pointwise layers, around a residual.

    Args:
        dim: Channels.
        kernel: Side of the convolution in patches, odd.
    """

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (batch, dim, rows, columns)."""
        mixed = self.mix(x).permute(0, 2, 3, 1)
        return x + self.mlp(self.norm(mixed)).permute(0, 3, 1, 2)


class SmallConvNext(nn.Module):
    """Patches, blocks and a norm: what an encoder of one's own must have.

    Args:
        config: Section ``vision`` of the trial.
        kernel: Side of the convolutions in patches.
    """

    def __init__(self, config: Any, kernel: int = 3) -> None:
        super().__init__()
        dim, patch = config.width or 64, config.patch_size or 4
        self.patch_embed = nn.Conv2d(config.channels, dim, patch, stride=patch)
        self.blocks = nn.ModuleList(
            Block(dim, kernel) for _ in range(config.depth or 4)
        )
        self.norm = nn.LayerNorm(dim)
        side = config.image_size // patch
        self.positions = nn.Parameter(0.02 * torch.randn(dim, side, side))
