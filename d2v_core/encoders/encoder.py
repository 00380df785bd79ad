"""What an encoder of any modality offers to the learners."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from jaxtyping import Float
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
