"""Initial weights of a vision encoder, as data2vec's reference draws them.

``data2vec_vision`` at af9a3634, ``beit/modeling_cyclical.py`` (``trunc_normal_``,
``_init_weights``, ``fix_init_weight``): a normal of standard deviation 0.02 cut at one
standard deviation, which leaves 0.0108, for every matrix, the patch embedding, class
token, mask token and learned positions; biases zero; then attention projection and
second feed-forward matrix of block l divided by the root of 2 l. Norms, layer scale and
tables of relative positions start as timm makes them (1 and 0, the configured scale,
0), which is what the reference does.

timm's own weights, the other choice, are wider: its normal is cut at +-2, a hundred
standard deviations (standard deviation 0.020, 1.86 times as wide), the patch embedding
is PyTorch's default, and only the family ``beit`` divides by the root of 2 l.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

INITIAL_STD = 0.02
"""Standard deviation before the cut (``init_std`` of the reference, BERT's)."""


def cut_normal_(tensor: Tensor) -> None:
    """Fill with the normal of :data:`INITIAL_STD`, cut at one standard deviation."""
    nn.init.trunc_normal_(tensor, std=INITIAL_STD, a=-INITIAL_STD, b=INITIAL_STD)


@torch.no_grad()
def draw_reference_weights(vit: Any, mask_token: nn.Parameter) -> None:
    """Draw the weights of a timm ViT and its mask token again, as the reference does.

    Departure: what the reference does not have (register and distillation tokens) is
    drawn like its class token. Fixed positions stay.

    Args:
        vit: A timm model of one of the families of
            :mod:`d2v_core.encoders.timm_vision`; untyped, as timm is.
        mask_token: What stands at masked patches.
    """
    for module in vit.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            cut_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    # The parameters that belong to no layer: tokens and learned positions.
    for parameter in (*vit.parameters(recurse=False), mask_token):
        if parameter.requires_grad:  # sine-cosine positions are fixed
            cut_normal_(parameter)
    for number, block in enumerate(vit.blocks, start=1):
        # After the draw above, which would undo it.
        block.attn.proj.weight.div_(math.sqrt(2.0 * number))
        block.mlp.fc2.weight.div_(math.sqrt(2.0 * number))
