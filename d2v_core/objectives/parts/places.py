"""The tokens that an objective looks at, out of all of a batch."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def at_positions(
    tokens: Float[Tensor, "batch tokens dim"], positions: Int[Tensor, " chosen"]
) -> Float[Tensor, "chosen dim"]:
    """The tokens at places counted through the whole batch."""
    return tokens.flatten(0, 1).index_select(0, positions)
