"""The teacher: an exponentially moving average of the student.

Paper section 3.2; fairseq ``ema_module.py``; ``data2vec_vision`` at af9a3634 (timm
``ModelEmaV2`` over the whole encoder). Departures, each a fault of a reference: exactly
one step after each optimiser update (fairseq steps once per micro-batch), and buffers
are copied, never averaged (averaging rounds integer relative-position indices down).
"""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class EmaTeacher(Generic[Network]):
    """A copy of the student that follows it and never receives a gradient.

    Always in evaluation mode. Call :attr:`network` under ``torch.no_grad()``.

    Args:
        student: The network to follow; the teacher starts as its exact copy.
    """

    def __init__(self, student: Network) -> None:
        self.network = copy.deepcopy(student).requires_grad_(False).eval()
        self._followed: Network | None = None
        self._pairs: tuple[list[Tensor], list[Tensor]] = ([], [])

    @torch.no_grad()
    def update(self, student: Network, tau: float) -> None:
        """``teacher = tau * teacher + (1 - tau) * student``; buffers are copied."""
        if self._followed is not student:  # walking the modules costs more than lerp
            own: list[Tensor] = list(self.network.parameters())
            new: list[Tensor] = list(student.parameters())
            self._followed, self._pairs = student, (own, new)
        own, new = self._pairs
        if tau == 0.0:
            torch._foreach_copy_(own, new)
        else:
            torch._foreach_lerp_(own, new, 1.0 - tau)
        buffers = zip(self.network.buffers(), student.buffers(), strict=True)
        for buffer, source in buffers:
            buffer.copy_(source)
