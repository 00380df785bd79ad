"""Dynamic tanh as target normalisation (Zhu et al. 2025, arXiv 2503.10622).

``tanh(alpha x)`` squashes outliers as layer norm does, without any statistic. There
alpha is learned; targets have no learned parameters, so here it is fixed.
"""

import torch

ALPHA = 0.5


def dyn_tanh(features: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
    """Squash targets of shape (batch, tokens, dim); padding needs no care."""
    return torch.tanh(ALPHA * features)
