"""MAE's decoder: from the visible tokens to numbers of the input at every position.

He et al. 2021 (arXiv 2111.06377) section 3; facebookresearch/mae ``models_mae.py``
``forward_decoder``. Blocks are pre-norm with epsilon 1e-6, matrices drawn by Xavier's
rule, positions fixed sines and cosines. Departures: frames of speech, of which there
may be any number, have positions of one dimension; and a row may keep fewer tokens than
another.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from d2v_core.encoders.encoder import Encoded
from d2v_core.encoders.initialisation import INITIAL_STD
from d2v_core.encoders.kept import Kept
from d2v_core.encoders.transformer import Transformer

EPSILON = 1e-6
FFN_RATIO = 4
"""Hidden channels over channels."""
LONGEST_WAVE = 10_000.0


class PieceDecoder(nn.Module):
    """A narrow Transformer over visible tokens and mask tokens.

    Args:
        dim: Channels of the encoder.
        width: Channels in here.
        depth: Blocks.
        num_heads: Attention heads.
        piece_size: Numbers predicted at each position.
        grid: Rows and columns of positions; None: they lie on a line.
    """

    def __init__(
        self,
        *,
        dim: int,
        width: int,
        depth: int,
        num_heads: int,
        piece_size: int,
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.transformer = Transformer(
            dim=width,
            depth=depth,
            num_heads=num_heads,
            ffn_dim=FFN_RATIO * width,
            norm="pre",
            eps=EPSILON,
        )
        self.head = nn.Linear(width, piece_size)
        self.grid = grid
        nn.init.normal_(self.mask_token, std=INITIAL_STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(
        self,
        seen: Encoded,
        kept: Kept,
        num_tokens: int,
        real: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "batch tokens numbers"]:
        """Predictions at every position.

        Args:
            seen: What the encoder made of the kept tokens.
            kept: Where they belong.
            num_tokens: Positions of a row.
            real: True at positions that are not padding; None: all.
        """
        visible = self.embed(seen.tokens)
        batch, _, width = visible.shape
        # One place more, which takes what only fills up a row.
        spare = kept.index.new_tensor(num_tokens)
        index = kept.index
        if kept.real is not None:
            index = torch.where(kept.real, index, spare)
        whole = self.mask_token.to(visible.dtype).expand(batch, num_tokens + 1, width)
        whole = whole.scatter(1, index.unsqueeze(2).expand(-1, -1, width), visible)
        placed = whole[:, :num_tokens] + self.positions(num_tokens, visible)
        num_prefix = seen.prefix.shape[1]
        x = torch.cat((self.embed(seen.prefix), placed), dim=1)
        if real is not None:
            real = torch.cat((real.new_ones(batch, num_prefix), real), dim=1)
        x, _ = self.transformer(x, self.transformer.attention_mask(x, real))
        predicted: Tensor = self.head(x[:, num_prefix:])
        return predicted

    def positions(self, num_tokens: int, like: Tensor) -> Float[Tensor, "tokens width"]:
        """Sines and cosines; those of prefix tokens are 0."""
        width = like.shape[2]
        if self.grid is None:
            return line_positions(num_tokens, width, like.device).to(like.dtype)
        from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed

        table: Tensor = build_sincos2d_pos_embed(
            list(self.grid), dim=width, interleave_sin_cos=False, device=like.device
        )
        return table.to(like.dtype)


def line_positions(
    num_tokens: int, width: int, device: torch.device
) -> Float[Tensor, "tokens width"]:
    """Sines in the first half of the channels, cosines in the second."""
    rates = torch.arange(width // 2, device=device, dtype=torch.float32)
    rates = LONGEST_WAVE ** (-rates / max(1, width // 2))
    angles = torch.arange(num_tokens, device=device)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), dim=1)
