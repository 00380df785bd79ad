"""The student's regression head, which maps its masked tokens to predictions.

One linear layer for vision (``data2vec_vision`` at af9a3634, ``modeling_cyclical.py``
118) and speech (fairseq ``data2vec_audio.py``, ``final_proj``), two for text
(``data2vec_text.py`` 298-310). Each reference draws it in its own way; see
:func:`draw_linear`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from d2v_core.config.objective import HeadInit
from d2v_core.encoders.initialisation import INITIAL_STD, cut_normal_


def regression_head(dim: int, depth: int, init: HeadInit) -> nn.Sequential:
    """Linear layers from ``dim`` to ``dim``, the hidden ones twice as wide, with GELU.

    Args:
        dim: Channels of the student.
        depth: Linear layers.
        init: How each of them is drawn, as in :func:`draw_linear`.
    """
    widths = [dim, *[2 * dim] * (depth - 1), dim]
    layers: list[nn.Module] = []
    for i in range(depth):
        linear = nn.Linear(widths[i], widths[i + 1])
        draw_linear(linear, init)
        layers += [linear, nn.GELU()] if i < depth - 1 else [linear]
    return nn.Sequential(*layers)


class SeparateHeads(nn.Module):
    """A head for each layer of targets (paper section 3.3), their outputs side by side.

    Args:
        heads: In the order of the layers.
    """

    def __init__(self, heads: Iterable[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(
        self, tokens: Float[Tensor, "masked dim"]
    ) -> Float[Tensor, "masked all_dims"]:
        """Predictions of all layers."""
        return torch.cat([head(tokens) for head in self.heads], dim=1)


def draw_linear(linear: nn.Linear, init: HeadInit) -> None:
    """Draw the initial weights of a layer.

    Args:
        linear: A layer as PyTorch makes it.
        init: ``beit``: normal 0.02 cut at one standard deviation, biases 0, as the
            vision reference does. ``bert``: normal 0.02, biases 0, as the text
            reference does (fairseq ``init_bert_params``). ``pytorch``: left as it is,
            weights and biases uniform up to one over the root of the input width, as
            the speech reference does. ``timm``: timm's normal 0.02, cut so far out
            (+-2) that nothing is, biases 0.
    """
    match init:
        case "pytorch":
            return
        case "beit":
            cut_normal_(linear.weight)
        case "bert":
            nn.init.normal_(linear.weight, std=INITIAL_STD)
        case "timm":
            nn.init.trunc_normal_(linear.weight, std=INITIAL_STD)
        case _:
            assert_never(init)
    nn.init.zeros_(linear.bias)
