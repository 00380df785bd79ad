"""What an encoder of any modality offers to the learners."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Feature = Literal["ffn", "attention", "ffn_residual", "block"]
"""Activation of a block; ``TargetConfig.feature`` says what each is."""


class Encoder(nn.Module):
    """A Transformer that maps inputs to tokens, some of them hidden by a mask.

    Attributes:
        dim: Channels of a token.
        depth: Number of blocks.
    """

    dim: int
    depth: int

    @abstractmethod
    def forward(
        self, inputs: Tensor, mask: Tensor | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Final tokens, with the mask token where ``mask`` is true."""

    @abstractmethod
    def top_layers(
        self, inputs: Tensor, *, feature: Feature, top_k: int
    ) -> list[Float[Tensor, "batch tokens dim"]]:
        """Activations of the top ``top_k`` blocks for the unmasked input."""

    def masked_tokens(
        self,
        inputs: Tensor,
        mask: Bool[Tensor, "batch tokens"],
        positions: Int[Tensor, " masked"],
    ) -> Float[Tensor, "masked dim"]:
        """Final tokens at the masked positions; encoders may compute only those.

        Args:
            inputs: As in :meth:`forward`.
            mask: True where the mask token is; on the CPU or the inputs' device.
            positions: Where ``mask.flatten()`` is true, on the inputs' device.
        """
        tokens: Tensor = self(inputs, mask.to(inputs.device))
        return tokens.flatten(0, 1)[positions]

    def masked_top_layers(
        self,
        inputs: Tensor,
        mask: Bool[Tensor, "batch tokens"],
        positions: Int[Tensor, " masked"],
        *,
        feature: Feature,
        top_k: int,
    ) -> list[Float[Tensor, "masked dim"]]:
        """:meth:`top_layers` at the masked positions; the input stays unmasked."""
        layers = self.top_layers(inputs, feature=feature, top_k=top_k)
        return [layer.flatten(0, 1)[positions] for layer in layers]
