"""The student's regression head."""

from __future__ import annotations

from torch import nn


def regression_head(dim: int, depth: int) -> nn.Sequential:
    """Linear layers from ``dim`` to ``dim``.

    One layer is vision's and speech's (``modeling_cyclical.py`` 118); with more, hidden
    layers are twice as wide with GELU between (``data2vec_text.py`` 298-310). Weights
    are truncated normal with standard deviation 0.02, biases zero, as in BEiT.
    """
    widths = [dim, *[2 * dim] * (depth - 1), dim]
    layers: list[nn.Module] = []
    for i in range(depth):
        linear = nn.Linear(widths[i], widths[i + 1])
        nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.GELU()] if i < depth - 1 else [linear]
    return nn.Sequential(*layers)
