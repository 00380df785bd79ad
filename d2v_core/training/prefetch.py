"""Batches and draws on the device in the order of the updates, made in the background.

Both are pure functions of the update, so it does not matter who makes them or when: the
numbers are the same with and without the thread. What a GPU needs is that the next
batch lies ready when an update ends; the time it still waits is measured.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch

from d2v_core.data.batch import Batches
from d2v_core.encoders.inputs import Inputs
from d2v_core.objectives.protocol import Draw, Objective

Drawn = tuple[Inputs, Inputs, Draw]
"""Inputs, labels and what the objective has drawn for them."""


def with_draws(batches: Batches, objective: Objective) -> Callable[[int], Drawn]:
    """Everything an update needs, on the CPU."""

    def make(step: int) -> Drawn:
        inputs, labels = batches(step)
        return inputs, labels, objective.draw(inputs, step)

    return make


class Feed:
    """Gives one batch after the other; a context that ends its thread.

    Args:
        batches: Makes what an update needs on the CPU.
        steps: Updates, in order.
        device: Where batches are wanted.
        ahead: Batches the background thread makes ahead; 0: each is made when it is
            asked for, without a thread.
    """

    def __init__(
        self,
        batches: Callable[[int], Drawn],
        steps: range,
        *,
        device: torch.device,
        ahead: int,
    ) -> None:
        self._batches, self._device, self._steps = batches, device, steps
        self._to_order = iter(steps)
        self._pool = ThreadPoolExecutor(1, "d2v-prefetch") if ahead else None
        self._ready: deque[Future[Drawn]] = deque()
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

    def __iter__(self) -> Iterator[tuple[int, Inputs, Inputs, Draw]]:
        """Update, inputs, labels and draw; a batch's error is raised at its update."""
        for step in self._steps:
            began = time.perf_counter()
            if self._pool is None:
                batch = self._make(step)
            else:
                self._order_next()
                batch = self._ready.popleft().result()
            inputs, labels, draw = batch
            inputs = inputs.to(self._device, non_blocking=True)
            labels = labels.to(self._device, non_blocking=True)
            draw = draw.to(self._device, non_blocking=True)
            self._seconds_waited += time.perf_counter() - began
            yield step, inputs, labels, draw

    def take_seconds_waited(self) -> float:
        """Seconds waited for batches since this was last asked."""
        seconds, self._seconds_waited = self._seconds_waited, 0.0
        return seconds

    def _order_next(self) -> None:
        step = next(self._to_order, None)
        if step is not None and self._pool is not None:
            self._ready.append(self._pool.submit(self._make, step))

    def _make(self, step: int) -> Drawn:
        inputs, labels, draw = self._batches(step)
        if self._device.type != "cuda":
            return inputs, labels, draw
        return inputs.pin_memory(), labels.pin_memory(), draw.pin_memory()
