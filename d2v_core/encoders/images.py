"""What an encoder of images has beyond what every encoder has; and the user's own."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from d2v_core.encoders.encoder import Collect, Encoded, Encoder, Tokens
from d2v_core.encoders.kept import Kept, with_token
from d2v_core.errors import ConfigError, Problem


class ImageEncoder(Encoder):
    """An encoder of images, which are cut into a grid of patches.

    Attributes:
        grid: Rows and columns of patches.
        patch_size: Height and width of a patch in pixels.
        num_prefix_tokens: Class token and its like.
        has_class_token: Whether the first of them is one.
    """

    grid: tuple[int, int]
    patch_size: tuple[int, int]
    num_prefix_tokens: int = 0
    has_class_token: bool = False

    def all_tokens(
        self,
        images: Float[Tensor, "batch channels height width"],
        mask: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "batch all_tokens dim"]:
        """Prefix tokens (class token) and patch tokens after the final norm."""
        encoded = self.encode(self.embed(images), mask)
        return torch.cat((encoded.prefix, encoded.tokens), dim=1)

    def pieces(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens numbers"]:
        """The pixels of each patch, row by row, the channels of each side by side."""
        (rows, columns), (height, width) = self.grid, self.patch_size
        split = images.reshape(*images.shape[:2], rows, height, columns, width)
        return split.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


class OwnImageEncoder(ImageEncoder):
    """A network of the user's own with a mask token.

    Args:
        network: Its ``patch_embed`` maps images to (batch, dim, rows, columns),
            each of its ``blocks`` (an ``nn.ModuleList``) maps that to the same shape,
            ``norm`` is over the last axis of (batch, tokens, dim), and ``positions``,
            if there are any, are added to the masked patches: (dim, rows, columns).
        images: One batch like those it will read; gives the sizes.

    Raises:
        ValueError: A part is missing or gives another shape.
    """

    parts = {
        "feature_encoder": ("network.patch_embed.",),
        "positions": ("network.positions",),
    }
    network: Any
    """Untyped: it is the user's own."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        super().__init__()
        for name, kind in {"blocks": nn.ModuleList, "norm": nn.Module}.items():
            if not isinstance(getattr(network, name, None), kind):
                raise ValueError(f"it must have {name}, an nn.{kind.__name__}")
        self.network = network
        with torch.no_grad():
            features = self.network.patch_embed(images)
        if features.ndim != 4 or len(features) != len(images):
            actual = tuple(features.shape)
            wanted = f"({len(images)}, dim, rows, columns)"
            raise ValueError(f"patch_embed must give {wanted}, gives {actual}")
        self.dim, self.grid = features.shape[1], (features.shape[2], features.shape[3])
        self.depth = len(self.network.blocks)
        self.patch_size = (
            images.shape[2] // self.grid[0],
            images.shape[3] // self.grid[1],
        )
        self.piece_size = images.shape[1] * self.patch_size[0] * self.patch_size[1]
        self.mask_token = nn.Parameter(torch.zeros(self.dim))
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def embed(self, inputs: Float[Tensor, "batch channels height width"]) -> Tokens:
        """The patch embedding of normalised images."""
        return Tokens(self.network.patch_embed(inputs).flatten(2).transpose(1, 2))

    def encode(
        self,
        tokens: Tokens,
        mask: Bool[Tensor, "batch tokens"] | None = None,
        keep: Bool[Tensor, "batch tokens"] | Kept | None = None,
        collect: Collect | None = None,
    ) -> Encoded:
        """Run the blocks; :meth:`Encoder.encode` explains the arguments.

        Blocks see the whole grid: tokens cannot be left out, and what is collected is
        the ends of blocks.

        Raises:
            ConfigError: Tokens are to be left out.
        """
        if keep is not None:
            message = "must be a timm model where an objective leaves tokens out"
            raise ConfigError(
                [Problem("vision.timm_model", f"{message}, got your own")]
            )
        x = with_token(tokens.values, mask, self.mask_token)
        x = x.transpose(1, 2).reshape(len(x), self.dim, *self.grid)
        positions = getattr(self.network, "positions", None)
        x = x if positions is None else x + positions
        want, ends = collect or Collect(0, ()), []
        assert set(want.kinds) <= {"block"}, want.kinds
        for i, block in enumerate(self.network.blocks):
            x = block(x)
            if i >= self.depth - want.top_k:
                ends.append(x.flatten(2).transpose(1, 2))
        final = self.network.norm(x.flatten(2).transpose(1, 2))
        return Encoded(
            tokens=final,
            real=None,
            prefix=final[:, :0],
            layers={"block": ends} if want.kinds else {},
        )

    def local_features(
        self, inputs: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "rows dim"]:
        """The patch embedding of every patch of the batch, without positions."""
        return self.embed(inputs).values.flatten(0, 1)
