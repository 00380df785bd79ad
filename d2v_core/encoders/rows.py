"""The masked positions of a batch as rows of equal length.

Counts of masked positions vary per sample, so each sample's rows are padded to the
longest of the batch with unmasked positions of that sample, which are dropped at the
end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class MaskedRows:
    """Where the masked positions are, on the device of the network.

    Attributes:
        tokens: Positions in each sample's tokens, prefix tokens counted: the masked
            ones in order, then unmasked ones as padding.
        flat: The same in the tokens of the whole batch.
        kept: Which of ``flat`` are masked; None if all are.
    """

    tokens: Int[Tensor, "batch longest"]
    flat: Int[Tensor, " padded"]
    kept: Int[Tensor, " masked"] | None

    def pick(self, tokens: Float[Tensor, "batch all_tokens dim"]) -> Tensor:
        """Rows of each sample, of shape (batch, longest, dim)."""
        rows = tokens.flatten(0, 1).index_select(0, self.flat)
        return rows.view(*self.tokens.shape, -1)

    def pool(
        self, rows: Float[Tensor, "batch longest dim"]
    ) -> Float[Tensor, "masked dim"]:
        """Masked positions of the whole batch, without padding."""
        pooled = rows.flatten(0, 1)
        return pooled if self.kept is None else pooled.index_select(0, self.kept)


def masked_rows(
    mask: Bool[Tensor, "batch tokens"],
    *,
    num_prefix_tokens: int = 0,
    device: torch.device,
) -> MaskedRows:
    """Rows of a mask; one on the CPU costs a GPU no waiting.

    Args:
        mask: True at masked positions; at least one in all.
        num_prefix_tokens: Tokens before those that can be masked.
        device: Where the network is.
    """
    num_rows, num_tokens = mask.shape
    counts = mask.sum(dim=1, keepdim=True)
    longest = int(counts.max())
    masked_first = mask.logical_not().byte().argsort(dim=1, stable=True)
    tokens = masked_first[:, :longest] + num_prefix_tokens
    first = torch.arange(num_rows, device=mask.device)[:, None]
    flat = (tokens + first * (num_tokens + num_prefix_tokens)).flatten()
    real = torch.arange(longest, device=mask.device) < counts
    kept = None if bool(real.all()) else real.flatten().nonzero().squeeze(1)
    return MaskedRows(
        tokens=tokens.to(device, non_blocking=True),
        flat=flat.to(device, non_blocking=True),
        kept=None if kept is None else kept.to(device, non_blocking=True),
    )
