"""The teacher: an exponentially moving average of the student.

Paper section 3.3; fairseq ``ema_module.py``; ``data2vec_vision`` at af9a3634 (timm
``ModelEmaV2`` over the whole encoder). Departures, each a fault of a reference: exactly
one step after each optimiser update (fairseq steps once per micro-batch), and buffers
are copied, never averaged (averaging rounds integer relative-position indices down).
So a checkpoint holds a teacher that has seen every student; fairseq's, updated as the
next step begins, has missed the last. The head has no teacher: the vision fork averages
it too, and nothing reads that.

Parts may be shared instead of averaged, as fairseq does with ``skip_keys`` for the
positions (``data2vec_audio.py`` 149-164) and by running the feature encoder once.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Network = TypeVar("Network", bound=nn.Module)
Pairs = tuple[list[Tensor], list[Tensor]]
"""The teacher's tensors, and the student's beside them."""


class EmaTeacher(Generic[Network]):
    """A copy of the student that follows it and never receives a gradient.

    Always in evaluation mode. Call :attr:`network` under ``torch.no_grad()``.

    Args:
        student: The network to follow; the teacher starts as its exact copy.
    """

    def __init__(self, student: Network) -> None:
        self.network = copy.deepcopy(student).requires_grad_(False).eval()
        self._followed: tuple[Network, frozenset[str]] | None = None
        self._averaged: Pairs = ([], [])
        self._shared: Pairs = ([], [])
        self._buffers: list[tuple[nn.Module, nn.Module, str]] = []

    @torch.no_grad()
    def update(
        self, student: Network, tau: float, shared: Collection[str] = frozenset()
    ) -> None:
        """``teacher = tau * teacher + (1 - tau) * student``; buffers are copied.

        Args:
            student: The network to follow.
            tau: Share of the teacher that is kept.
            shared: Names of parameters that are copied instead, whatever tau is.
        """
        if self._followed is None or not (
            self._followed[0] is student and self._followed[1] == shared
        ):  # walking the modules costs more than lerp
            self._follow(student, shared)
        copied = [self._shared]
        if tau == 0.0:  # lerp by 1 would leave a teacher that is not finite
            copied.append(self._averaged)
        elif self._averaged[0]:
            average: Any = get_ema_multi_avg_fn  # has no types
            average(tau)(*self._averaged, None)  # all tensors at once
        for owns, sources in copied:
            for own, source in zip(owns, sources, strict=True):
                own.copy_(source)
        for network, followed, name in self._buffers:  # a network may replace its own
            getattr(network, name).copy_(getattr(followed, name))

    def _follow(self, student: Network, shared: Collection[str]) -> None:
        theirs = dict(student.named_parameters())
        assert set(shared) <= set(theirs), f"unknown: {set(shared) - set(theirs)}"
        self._averaged, self._shared = ([], []), ([], [])
        for name, own in self.network.named_parameters():
            pairs = self._shared if name in shared else self._averaged
            pairs[0].append(own)
            pairs[1].append(theirs[name])
        self._buffers = [
            (network, followed, name)
            for network, followed in zip(
                self.network.modules(), student.modules(), strict=True
            )
            for name, _ in network.named_buffers(recurse=False)
        ]
        self._followed = (student, frozenset(shared))
