"""Activations of the top blocks for the unmasked input."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from d2v_core.encoders.encoder import Collect, Encoder, Feature


def top_layers(
    encoder: Encoder, inputs: Any, *, feature: Feature, top_k: int
) -> list[Tensor]:
    collect = Collect(top_k, (feature,))
    return encoder.encode(encoder.embed(inputs), collect=collect).layers[feature]
