"""Regression targets: normalise the top K teacher layers, average, normalise again.

Paper section 3.3; fairseq ``data2vec_audio.py`` 406-449. Every normalisation is without
learned parameters, "so that the model doesn't learn to favor a particular layer"
(fairseq #4199), and computed in float32 with epsilon 1e-5. Departure: ``group`` is
always over tokens and channels of a sample; fairseq's is so only after its batch or
instance norm, and without takes the batch for the tokens. Likewise ``instance`` after
the average is over time, the tokens of each sample; fairseq's ``instance_norm_targets``
is so only after its batch or instance norm of the layers, and without is over the
samples of the batch. There is one norm after the average; the references can apply two,
fairseq layer then instance, the vision fork instance then layer. Padding takes no part
in any statistic; in fairseq's it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import assert_never

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from d2v_core.config.choices import Feature
from d2v_core.config.choices import Normalisation as Normalisation

OwnNorm = Callable[[Tensor, Tensor | None], Tensor]
"""From features, and which tokens are real (None: all), to features."""
Norm = Normalisation | OwnNorm

OwnFeature = Callable[[Mapping[Feature, Tensor]], Tensor]
"""From all activations of a block to what is a target of it."""

Total = Callable[[Tensor], Tensor]
"""Sums a statistic over the parts of a batch that lie elsewhere."""

EPSILON = 1e-5
"""PyTorch's default, which both references use in the target norms."""


def layers_of(
    collected: Mapping[Feature, Sequence[Float[Tensor, "batch tokens dim"]]],
    feature: Feature | OwnFeature,
) -> Sequence[Float[Tensor, "batch tokens dim"]]:
    """The feature of every collected block."""
    if isinstance(feature, str):
        return collected[feature]
    blocks = zip(*collected.values(), strict=True)
    return [feature(dict(zip(collected, block, strict=True))) for block in blocks]


def average_top_k_layers(
    layers: Sequence[Float[Tensor, "batch tokens dim"]],
    *,
    layer_norm: Norm,
    final_norm: Norm,
    num_groups: int = 1,
    real: Bool[Tensor, "batch tokens"] | None = None,
    total: Total | None = None,
) -> Float[Tensor, "batch tokens dim"]:
    """The target of every position; what stands at padding means nothing.

    Args:
        layers: Activations of the K top teacher layers, without prefix tokens.
        layer_norm: Applied to each layer before averaging.
        final_norm: Applied once after averaging.
        num_groups: Groups of channels where a norm is ``group``.
        real: True at tokens that are not padding; None: all of them.
        total: Sums over the whole batch, for ``batch`` when these are a part of it;
            None: they are all of it.
    """
    normed = partial(normalise, num_groups=num_groups, real=real, total=total)
    # In float32 whatever the precision: the references leave half precision here too.
    summed = torch.zeros_like(layers[0], dtype=torch.float32)
    for layer in layers:
        summed += normed(layer.float(), layer_norm)
    return normed(summed / len(layers), final_norm)


def separate_top_k_layers(
    layers: Sequence[Float[Tensor, "batch tokens dim"]],
    *,
    layer_norm: Norm,
    final_norm: Norm,
    num_groups: int = 1,
    real: Bool[Tensor, "batch tokens"] | None = None,
    total: Total | None = None,
) -> Float[Tensor, "batch tokens all_dims"]:
    """Each layer as a target of its own (section 3.3), side by side.

    The arguments are those of :func:`average_top_k_layers`; ``final_norm`` is applied
    to each layer.
    """
    normed = partial(normalise, num_groups=num_groups, real=real, total=total)
    targets = [
        normed(normed(layer.float(), layer_norm), final_norm) for layer in layers
    ]
    return torch.cat(targets, dim=2)


def normalise(
    features: Float[Tensor, "batch tokens dim"],
    kind: Norm,
    *,
    num_groups: int = 1,
    real: Bool[Tensor, "batch tokens"] | None = None,
    total: Total | None = None,
) -> Float[Tensor, "batch tokens dim"]:
    """Zero mean and unit (biased) variance over the axes that ``kind`` names.

    ``instance``: tokens of one sample, per channel. ``layer``: channels of one token.
    ``batch``: tokens and samples, per channel. ``group``: tokens of one sample and the
    channels of one of ``num_groups`` equal groups. One's own is whatever it is.
    """
    if not isinstance(kind, str):
        return kind(features, real)
    match kind:
        case "none":
            return features
        case "layer":
            return F.layer_norm(features, features.shape[-1:], eps=EPSILON)
        case "instance":
            return _standardise(features, axes=(1,), real=real)
        case "batch":
            return _standardise(features, axes=(0, 1), real=real, total=total)
        case "group":
            grouped = features.reshape(*features.shape[:2], num_groups, -1)
            return _standardise(grouped, axes=(1, 3), real=real).flatten(2)
        case _:
            assert_never(kind)


def _standardise(
    features: Float[Tensor, "batch tokens *channels"],
    axes: tuple[int, ...],
    real: Bool[Tensor, "batch tokens"] | None,
    total: Total | None = None,
) -> Float[Tensor, "batch tokens *channels"]:
    # Two passes: on channels-last activations faster than torch.var_mean, and exact.
    if real is None and total is None:
        centred = features - features.mean(dim=axes, keepdim=True)
        variance = centred.square().mean(dim=axes, keepdim=True)
        return centred * torch.rsqrt(variance + EPSILON)
    if real is None:
        real = features.new_ones(features.shape[:2], dtype=torch.bool)
    kept = real.view(*real.shape, *[1] * (features.ndim - 2))

    def summed(values: Tensor) -> Tensor:
        local = values.expand_as(features).masked_fill(~kept, 0).sum(axes, keepdim=True)
        return local if total is None else total(local)

    # The mean of all workers first: the squares of another mean would not add up.
    count = summed(kept)
    centred = (features - summed(features) / count).masked_fill(~kept, 0.0)
    variance = summed(centred.square()) / count
    return centred * torch.rsqrt(variance + EPSILON)
