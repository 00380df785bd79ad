"""Encoders of sequences: an embedding, then the common Transformer."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import nullcontext
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from d2v_core.encoders.encoder import Encoder, Feature, Restriction
from d2v_core.encoders.rows import MaskedRows, masked_rows
from d2v_core.encoders.transformer import Transformer


class SequenceEncoder(Encoder):
    """What speech and text have in common.

    Args:
        transformer: Its blocks.
        dim: Channels.
    """

    def __init__(self, transformer: Transformer, dim: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.dim, self.depth = dim, len(transformer.blocks)

    @abstractmethod
    def embed(
        self, inputs: Any, mask: Bool[Tensor, "batch tokens"] | None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Tokens with positions, the mask token where ``mask`` is true."""

    def forward(
        self, inputs: Any, mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Final tokens; what stands at padding means nothing."""
        tokens: Tensor = self.transformer(self.embed(inputs, mask), self.real(inputs))
        return tokens

    def top_layers(
        self, inputs: Any, *, feature: Feature, top_k: int
    ) -> list[Float[Tensor, "batch tokens dim"]]:
        """Activations of the top ``top_k`` blocks for the unmasked input."""
        return self.transformer.top_layers(
            self.embed(inputs, None), self.real(inputs), feature=feature, top_k=top_k
        )

    def masked_tokens(
        self,
        inputs: Any,
        mask: Bool[Tensor, "batch tokens"],
        positions: Int[Tensor, " masked"],
    ) -> Float[Tensor, "masked dim"]:
        """The masked positions of ``forward(inputs, mask)``, for less work."""
        tokens = self.embed(inputs, mask.to(inputs.device, non_blocking=True))
        rows = masked_rows(mask, device=inputs.device)
        return rows.pool(self.transformer(tokens, self.real(inputs), rows))

    def masked_top_layers(
        self,
        inputs: Any,
        mask: Bool[Tensor, "batch tokens"],
        positions: Int[Tensor, " masked"],
        *,
        feature: Feature,
        top_k: int,
    ) -> list[Float[Tensor, "masked dim"]]:
        """The masked positions of ``top_layers(inputs)``, for less work."""
        rows = masked_rows(mask, device=inputs.device)
        *earlier, last = self.transformer.top_layers(
            self.embed(inputs, None),
            self.real(inputs),
            rows,
            feature=feature,
            top_k=top_k,
        )
        return [_pooled(rows, layer) for layer in earlier] + [rows.pool(last)]

    def restriction(self, share: float | None) -> Restriction:
        """Limits attention to the nearest positions of the sequence."""
        if share is None:
            return lambda network: nullcontext()
        return lambda network: network.transformer.restricted(share)


def _pooled(rows: MaskedRows, layer: Tensor) -> Tensor:
    return rows.pool(rows.pick(layer))
