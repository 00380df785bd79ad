"""Regression targets: normalise the top K teacher layers, average, normalise again.

Paper section 3.3; fairseq ``data2vec_audio.py`` 406-449. Every normalisation is without
learned parameters, "so that the model doesn't learn to favor a particular layer"
(fairseq #4199), and computed in float32 with epsilon 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Normalisation = Literal["none", "instance", "layer", "batch"]

EPSILON = 1e-5
"""PyTorch's default, which both references use in the target norms."""


def average_top_k_layers(
    layers: Sequence[Float[Tensor, "batch tokens dim"]],
    *,
    layer_norm: Normalisation,
    final_norm: Normalisation,
) -> Float[Tensor, "batch tokens dim"]:
    """The target of every position.

    Args:
        layers: Activations of the K top teacher layers, without prefix tokens.
        layer_norm: Applied to each layer before averaging.
        final_norm: Applied once after averaging.
    """
    total = torch.zeros_like(layers[0], dtype=torch.float32)
    for layer in layers:
        total += normalise(layer.float(), layer_norm)
    return normalise(total / len(layers), final_norm)


def normalise(
    features: Float[Tensor, "batch tokens dim"], kind: Normalisation
) -> Float[Tensor, "batch tokens dim"]:
    """Zero mean and unit (biased) variance over the axes that ``kind`` names.

    ``instance``: tokens of one sample, per channel. ``layer``: channels of one token.
    ``batch``: tokens and samples, per channel.
    """
    match kind:
        case "none":
            return features
        case "layer":
            return F.layer_norm(features, features.shape[-1:], eps=EPSILON)
        case "instance":
            return _standardise(features, axes=(1,))
        case "batch":
            return _standardise(features, axes=(0, 1))
        case _:
            assert_never(kind)


def _standardise(
    features: Float[Tensor, "batch tokens dim"], axes: tuple[int, ...]
) -> Float[Tensor, "batch tokens dim"]:
    # Two passes: on channels-last activations faster than torch.var_mean, and exact.
    centred = features - features.mean(dim=axes, keepdim=True)
    variance = centred.square().mean(dim=axes, keepdim=True)
    return centred * torch.rsqrt(variance + EPSILON)
