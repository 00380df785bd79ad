"""The Transformer of speech and text: BERT's and wav2vec 2.0's blocks.

Post-norm blocks are the published ones (fairseq ``layer_norm_first: false``,
``normalize_before: false``); pre-norm ones need a closing norm. Padding never takes
part in attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.choices import BlockNorm
from d2v_core.encoders.encoder import Collect, Feature

Receive = Callable[[Feature, Tensor], None]


class Block(nn.Module):
    """Self-attention, then a feed-forward part, each with residual and norm.

    Args:
        dim: Channels.
        num_heads: Attention heads; must divide ``dim``.
        ffn_dim: Hidden channels of the feed-forward part.
        norm: ``post``: after each residual addition; ``pre``: before each branch.
        dropout: After both branches.
        attention_dropout: Dropout of the attention weights.
        activation_dropout: Inside the feed-forward part.
        drop_path: Chance that a sample skips a branch, in training.
        eps: Epsilon of the norms.
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
        receive: Receive | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """One block.

        Args:
            tokens: Input.
            attend: True where a query (third axis) may see a key (last axis).
            receive: Takes the four features as they come.
        """
        report = receive or _ignore
        attended = self._attention(
            self.norm1(tokens) if self.norm_first else tokens, attend
        )
        report("attention", attended)
        x = tokens + self._skipped(self.dropout(attended))
        x = x if self.norm_first else self.norm1(x)
        hidden = F.gelu(self.fc1(self.norm2(x) if self.norm_first else x))
        ffn = self.fc2(self.activation_dropout(hidden))
        report("ffn", ffn)
        x = x + self._skipped(self.dropout(ffn))
        report("ffn_residual", x)
        x = x if self.norm_first else self.norm2(x)
        report("block", x)
        return x

    def _attention(self, tokens: Tensor, attend: Tensor | None) -> Tensor:
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
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
        attention_dropout: Dropout of the attention weights.
        activation_dropout: Inside the feed-forward parts.
        drop_path: Rate of the last block, rising linearly from 0 at the first.
        layerdrop: Chance that a whole block is skipped in an update (fairseq).
        eps: Epsilon of the norms.
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
        attend: Bool[Tensor, "batch one queries keys"] | None = None,
        collect: Collect | None = None,
    ) -> tuple[Float[Tensor, "batch tokens dim"], dict[Feature, list[Tensor]]]:
        """Final tokens, and the collected activations of each kind.

        Args:
            tokens: Input.
            attend: True where a query (third axis) may see a key (last axis).
            collect: What is wanted beside the final tokens; no block is skipped then.
        """
        wanted = collect or Collect(0, ())
        layers: dict[Feature, list[Tensor]] = {kind: [] for kind in wanted.kinds}

        def receive(kind: Feature, activation: Tensor) -> None:
            if kind in layers:
                layers[kind].append(activation)

        drops = self.training and self.layerdrop > 0.0 and collect is None
        first = len(self.blocks) - wanted.top_k
        for i, block in enumerate(self.blocks):
            if drops and float(torch.rand(())) < self.layerdrop:
                continue
            tokens = block(tokens, attend, receive if i >= first else None)
        return self.norm(tokens), layers

    @contextmanager
    def restricted(self, share: float) -> Iterator[None]:
        """Let each position attend to the nearest ``share`` of its row's positions."""
        self.window = share
        try:
            yield
        finally:
            self.window = None

    def attention_mask(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        real: Bool[Tensor, "batch tokens"] | None,
    ) -> Bool[Tensor, "batch one queries keys"] | None:
        """True where a query may see a key: real ones in its window; None: all."""
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
