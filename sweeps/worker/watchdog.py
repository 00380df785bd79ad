"""Notices that nothing has been heard for too long."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """Calls for help when nothing has been heard for too long.

    Args:
        seconds: How long; None: for ever.
        give_up: Called then, in a thread of its own.
        awake: Called in that thread at once, and then several times in ``seconds``.
        clock: Seconds since any moment; never goes back.
    """

    def __init__(
        self,
        seconds: float | None,
        give_up: Callable[[], None],
        awake: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._give_up, self._awake = seconds, give_up, awake
        self._clock = clock
        self._heard = clock()
        self._over = threading.Event()
        self._paused = False

    def __enter__(self) -> Watchdog:
        if self._seconds is not None:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()

    def sign_of_life(self) -> None:
        """Something happened."""
        self._heard = self._clock()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Silence is somebody else's while the context is open."""
        self._paused = True
        try:
            yield
        finally:
            self.sign_of_life()
            self._paused = False

    def _watch(self) -> None:
        assert self._seconds is not None
        called = -math.inf
        while True:
            if self._awake and self._clock() - called > self._seconds / 8:
                called = self._clock()
                self._awake()
            if self._over.wait(min(1.0, self._seconds / 4)):
                return
            silent = self._clock() - self._heard > self._seconds
            if silent and not self._paused:
                self._give_up()
                return
