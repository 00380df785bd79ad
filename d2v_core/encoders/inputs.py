"""What encoders read: a tensor, or rows of different lengths padded to the longest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Padded:
    """Rows of different lengths.

    Attributes:
        values: Waveforms, features or token ids, (batch, longest, ...).
        lengths: Real entries of each row. They stay on the CPU wherever the values are:
            shapes and masks are decided there, without waiting for a device.
    """

    values: Tensor
    lengths: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def device(self) -> torch.device:
        """Where the values are."""
        return self.values.device

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Padded:
        """A copy whose values are on ``device``."""
        return replace(self, values=self.values.to(device, non_blocking=non_blocking))

    def detach(self) -> Padded:
        """The same without its graph."""
        return replace(self, values=self.values.detach())


Inputs = Tensor | Padded


def real_positions(
    lengths: tuple[int, ...], longest: int, device: torch.device
) -> Bool[Tensor, "batch longest"] | None:
    """True where a row is not padding; None when no row is padded."""
    if min(lengths) == longest:
        return None
    ends = torch.tensor(lengths)[:, None]
    return (torch.arange(longest) < ends).to(device, non_blocking=True)


def mean_over_real(
    tokens: Float[Tensor, "batch tokens dim"],
    real: Bool[Tensor, "batch tokens"] | None,
) -> Float[Tensor, "batch dim"]:
    """Mean of each row's tokens, padding left out."""
    if real is None:
        return tokens.mean(dim=1)
    weight = real.to(tokens.dtype)
    return (tokens * weight.unsqueeze(2)).sum(dim=1) / weight.sum(dim=1, keepdim=True)
