"""Batches on the device in the order of the updates, made ahead in the background.

A batch is a pure function of the update, so it does not matter who makes it or when:
the numbers are the same with and without the thread. What a GPU needs is that the next
batch lies ready when an update ends; the time it still waits is measured.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType

import torch

from d2v_core.encoders.inputs import Inputs, Padded

Batch = tuple[Inputs, Inputs]
"""Inputs and labels."""
Batches = Callable[[int], Batch]
"""Inputs and labels of an update (from 1), on the CPU."""


class Feed:
    """Gives one batch after the other; a context that ends its thread.

    Args:
        batches: Makes a batch on the CPU.
        steps: Updates, in order.
        device: Where batches are wanted.
        ahead: Batches the background thread makes ahead; 0: each is made when it is
            asked for, without a thread.
    """

    def __init__(
        self, batches: Batches, steps: range, *, device: torch.device, ahead: int
    ) -> None:
        self._batches, self._device, self._steps = batches, device, steps
        self._to_order = iter(steps)
        self._pool = ThreadPoolExecutor(1, "d2v-prefetch") if ahead else None
        self._ready: deque[Future[Batch]] = deque()
        self._seconds_waited = 0.0
        for _ in range(ahead):
            self._order_next()

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[int, Inputs, Inputs]]:
        """Update, inputs and labels; what went wrong with a batch is raised there."""
        for step in self._steps:
            began = time.perf_counter()
            if self._pool is None:
                batch = self._make(step)
            else:
                self._order_next()
                batch = self._ready.popleft().result()
            inputs, labels = (p.to(self._device, non_blocking=True) for p in batch)
            self._seconds_waited += time.perf_counter() - began
            yield step, inputs, labels

    def take_seconds_waited(self) -> float:
        """Seconds waited for batches since this was last asked."""
        seconds, self._seconds_waited = self._seconds_waited, 0.0
        return seconds

    def _order_next(self) -> None:
        step = next(self._to_order, None)
        if step is not None and self._pool is not None:
            self._ready.append(self._pool.submit(self._make, step))

    def _make(self, step: int) -> Batch:
        inputs, labels = self._batches(step)
        if self._device.type != "cuda":
            return inputs, labels
        return pinned(inputs), pinned(labels)


def pinned(part: Inputs) -> Inputs:
    """A copy in page-locked memory, from which a GPU fetches without waiting."""
    if isinstance(part, Padded):
        return replace(part, values=part.values.pin_memory())
    return part.pin_memory()
