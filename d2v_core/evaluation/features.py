"""Frozen features of every modality: the final output, or a mean over top blocks."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from d2v_core.encoders.encoder import Collect, Encoder


def frozen_tokens(
    encoder: Encoder, inputs: Any, *, num_layers: int
) -> Float[Tensor, "batch tokens dim"]:
    """Tokens without prefix tokens; what stands at padding means nothing.

    Args:
        encoder: In evaluation mode.
        inputs: Inputs of its modality, unmasked.
        num_layers: 1: the final output, after the closing norm if there is one; more:
            the mean over the outputs of so many blocks, counted from the last.
    """
    if num_layers == 1:
        final: Tensor = encoder(inputs)
        return final
    collect = Collect(num_layers, ("block",))
    layers = encoder.encode(encoder.embed(inputs), collect=collect).layers["block"]
    return torch.stack(layers).mean(dim=0)
