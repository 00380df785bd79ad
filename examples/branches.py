"""What a block adds to the residual stream: attention and feed-forward part together.

The paper compares each of the two (Table 5), not their sum.
"""

from collections.abc import Mapping

import torch


def branches(activations: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Sum the two branches of a block, each of shape (batch, tokens, dim).

    Args:
        activations: ``attention``, ``ffn``, ``ffn_residual`` and ``block``.
    """
    return activations["attention"] + activations["ffn"]
