"""The Transformer of speech and text: BERT's and wav2vec 2.0's blocks.

Post-norm blocks are the published ones (fairseq ``layer_norm_first: false``,
``normalize_before: false``); pre-norm ones need a closing norm. Padding never takes
part in attention. The last block can run at the masked positions only: its queries and
feed-forward part there, keys and values from everywhere, the same function for less
work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.choices import BlockNorm
from d2v_core.encoders.encoder import Feature
from d2v_core.encoders.rows import MaskedRows

Receive = Callable[[Feature, Tensor], None]


class Block(nn.Module):
    """Self-attention, then a feed-forward part, each with residual and norm.

    Args:
        dim: Channels.
        num_heads: Attention heads; must divide ``dim``.
        ffn_dim: Hidden channels of the feed-forward part.
        norm: ``post``: after each residual addition; ``pre``: before each branch.
        dropout: After both branches.
        attention_dropout: Of the attention weights.
        activation_dropout: Inside the feed-forward part.
        drop_path: Chance that a sample skips a branch, in training.
        eps: Of the norms.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        ffn_dim: int,
        norm: BlockNorm,
        dropout: float,
        attention_dropout: float,
        activation_dropout: float,
        drop_path: float,
        eps: float,
    ) -> None:
        super().__init__()
        self.num_heads, self.norm_first = num_heads, norm == "pre"
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps), nn.LayerNorm(dim, eps)
        self.fc1, self.fc2 = nn.Linear(dim, ffn_dim), nn.Linear(ffn_dim, dim)
        self.dropout, self.attention_dropout = nn.Dropout(dropout), attention_dropout
        self.activation_dropout = nn.Dropout(activation_dropout)
        self.drop_path = drop_path

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        attend: Bool[Tensor, "batch one queries keys"] | None = None,
        rows: MaskedRows | None = None,
        receive: Receive | None = None,
    ) -> Float[Tensor, "batch rows dim"]:
        """One block.

        Args:
            tokens: Input.
            attend: True where a query (third axis) may see a key (last axis).
            rows: Compute only these; None: all.
            receive: Takes the four features as they come.
        """
        told = receive or _ignore
        x = tokens if rows is None else rows.pick(tokens)
        normed = self.norm1(tokens) if self.norm_first else tokens
        attended = self._attention(normed, attend, rows)
        told("attention", attended)
        x = x + self._skipped(self.dropout(attended))
        x = x if self.norm_first else self.norm1(x)
        hidden = F.gelu(self.fc1(self.norm2(x) if self.norm_first else x))
        ffn = self.fc2(self.activation_dropout(hidden))
        told("ffn", ffn)
        x = x + self._skipped(self.dropout(ffn))
        told("ffn_residual", x)
        x = x if self.norm_first else self.norm2(x)
        told("block", x)
        return x

    def _attention(
        self, tokens: Tensor, attend: Tensor | None, rows: MaskedRows | None
    ) -> Tensor:
        if rows is None:
            query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        else:
            width = tokens.shape[-1]
            weight, bias = self.qkv.weight, self.qkv.bias
            query = F.linear(rows.pick(tokens), weight[:width], bias[:width])
            rest = F.linear(tokens, weight[width:], bias[width:])
            key, value = rest.chunk(2, dim=-1)
            if attend is not None and attend.shape[2] > 1:
                by_row = rows.tokens[:, None, :, None]
                attend = attend.expand(len(tokens), -1, -1, -1)
                attend = attend.gather(2, by_row.expand(-1, 1, -1, attend.shape[3]))
        attended = F.scaled_dot_product_attention(
            self._heads(query),
            self._heads(key),
            self._heads(value),
            attn_mask=attend,
            dropout_p=self.attention_dropout if self.training else 0.0,
        )
        result: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return result

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def _skipped(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * kept / (1.0 - self.drop_path)


def _ignore(feature: Feature, tokens: Tensor) -> None:
    pass


class Transformer(nn.Module):
    """Blocks one after the other; pre-norm ones with a closing norm.

    Args:
        dim: Channels.
        depth: Number of blocks.
        num_heads: Attention heads.
        ffn_dim: Hidden channels of the feed-forward parts.
        norm: ``post`` or ``pre``.
        dropout: After each branch.
        attention_dropout: Of the attention weights.
        activation_dropout: Inside the feed-forward parts.
        drop_path: Of the last block, rising linearly from 0 at the first.
        layerdrop: Chance that a whole block is skipped in an update (fairseq).
        eps: Of the norms.
    """

    def __init__(
        self,
        *,
        dim: int,
        depth: int,
        num_heads: int,
        ffn_dim: int,
        norm: BlockNorm = "post",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        drop_path: float = 0.0,
        layerdrop: float = 0.0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.layerdrop = layerdrop
        self.blocks = nn.ModuleList(
            Block(
                dim=dim,
                num_heads=num_heads,
                ffn_dim=ffn_dim,
                norm=norm,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation_dropout=activation_dropout,
                drop_path=drop_path * i / max(1, depth - 1),
                eps=eps,
            )
            for i in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps) if norm == "pre" else nn.Identity()
        self.window: float | None = None

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        real: Bool[Tensor, "batch tokens"] | None = None,
        rows: MaskedRows | None = None,
    ) -> Float[Tensor, "batch rows dim"]:
        """Final tokens; with ``rows``, the last block's at these rows only."""
        attend = self._attend(tokens, real)
        drops = self.training and self.layerdrop > 0.0
        for i, block in enumerate(self.blocks):
            last = rows if i == len(self.blocks) - 1 else None
            if drops and float(torch.rand(())) < self.layerdrop:
                tokens = tokens if last is None else last.pick(tokens)
                continue
            tokens = block(tokens, attend, last)
        result: Tensor = self.norm(tokens)
        return result

    def top_layers(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        real: Bool[Tensor, "batch tokens"] | None = None,
        rows: MaskedRows | None = None,
        *,
        feature: Feature,
        top_k: int,
    ) -> list[Float[Tensor, "batch rows dim"]]:
        """One feature of the top ``top_k`` blocks; never skips a block.

        With ``rows`` the last is at these rows only, the others at all tokens.
        """
        attend = self._attend(tokens, real)
        kept: list[Tensor] = []

        def receive(name: Feature, activation: Tensor) -> None:
            if name == feature:
                kept.append(activation)

        first = len(self.blocks) - top_k
        for i, block in enumerate(self.blocks):
            last = rows if i == len(self.blocks) - 1 else None
            tokens = block(tokens, attend, last, receive if i >= first else None)
        return kept

    @contextmanager
    def restricted(self, share: float) -> Iterator[None]:
        """Let each position attend to the nearest ``share`` of its row's positions."""
        self.window = share
        try:
            yield
        finally:
            self.window = None

    def _attend(
        self, tokens: Tensor, real: Tensor | None
    ) -> Bool[Tensor, "batch one queries keys"] | None:
        if self.window is not None:
            return _window(tokens, real, self.window)
        return None if real is None else real[:, None, None, :]


def _window(
    tokens: Tensor, real: Tensor | None, share: float
) -> Bool[Tensor, "batch one queries keys"]:
    """True at the ``max(1, round(share * length))`` positions nearest to each.

    The number is the same at the ends of a row, where the window moves inwards.
    """
    longest, device = tokens.shape[1], tokens.device
    place = torch.arange(longest, device=device)
    if real is None:
        lengths = torch.full((len(tokens), 1), longest, device=device)
    else:
        lengths = real.sum(dim=1, keepdim=True)
    size = (lengths * share).round().clamp_min(1).long()
    first = (
        (place - (size - 1) // 2).clamp_min(0).minimum((lengths - size).clamp_min(0))
    )
    key = place[None, None, :]
    inside = (key >= first[:, :, None]) & (key < (first + size)[:, :, None])
    return inside[:, None]
