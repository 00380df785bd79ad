"""What encoders read: a tensor, or rows of different lengths padded to the longest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Same = TypeVar("Same", bound="Movable")


@dataclass(frozen=True)
class Movable:
    """Fields that travel together; those that are no tensors stay as they are."""

    def to(self: Same, device: torch.device, *, non_blocking: bool = False) -> Same:
        """A copy on ``device``."""
        return self._changed(lambda part: part.to(device, non_blocking=non_blocking))

    def pin_memory(self: Same) -> Same:
        """A copy in page-locked memory, from which a GPU fetches without waiting."""
        return self._changed(lambda part: part.pin_memory())

    def detach(self: Same) -> Same:
        """The same without its graph."""
        return self._changed(lambda part: part.detach())

    def _changed(self: Same, change: Callable[[Any], Any]) -> Same:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {
            name: change(part)
            for name, part in parts.items()
            if isinstance(part, Tensor | Movable)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Padded(Movable):
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
