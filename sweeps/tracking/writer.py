"""Writes to the tracking store: in order, off the event loop, patient with outages.

While nobody answers at a served store the writes wait and keep their order; nothing is
lost if the driver ends meanwhile, for results lie beside the checkpoints
(:mod:`sweeps.worker.spool`). Every write may be made twice without harm.
"""

from __future__ import annotations

import math
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from ablations.redaction import redacted
from d2v_core.errors import ConfigError, Problem
from d2v_core.files import is_disk_full
from sweeps.stopping import StopRequest
from sweeps.tracking.stores import Stores

PATIENCE_SECONDS = 60.0
"""How long a write that fails although the store answers is tried again."""
PATIENCE_VARIABLE = "D2V_STORE_PATIENCE_SECONDS"
"""Environment variable that says otherwise."""
POLL_SECONDS = 1.0
Answer = TypeVar("Answer")


class StoreWriteError(RuntimeError):
    """A write that kept failing; what it held lies in the storage folder."""


@dataclass(frozen=True)
class _Write:
    do: Callable[..., None]
    arguments: tuple[object, ...]


class StoreWriter:
    """One background thread that makes the writes.

    Args:
        stores: Where they go.
        say: Tells a person that the store is away, and back.
        stop: The run's; made here when a write failed for good. Once it is made nobody
            waits for a store that is away, except for what a trial has to say.
        works: Whether the store answers a simple question.

    Raises:
        ConfigError: :data:`PATIENCE_VARIABLE` is no number of seconds.

    Attributes:
        is_away: Whether writes wait for the store.
        failure: Why writes are not made any more.
    """

    def __init__(
        self,
        stores: Stores,
        say: Callable[[str], None],
        stop: StopRequest,
        works: Callable[[], bool],
    ) -> None:
        self._stores, self._say, self._stop, self._works = stores, say, stop, works
        self._patience = patience_seconds()
        self._queue: queue.Queue[_Write | None] = queue.Queue()
        self._closing = False
        self.is_away = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)
        self._thread.start()

    def submit(self, do: Callable[..., None], *arguments: object) -> None:
        """Queue a write."""
        self._queue.put(_Write(do, arguments))

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """What the store answers once all writes before are made.

        Raises:
            KeyboardInterrupt: The run is to stop, and the store is away.
            StoreWriteError: As :meth:`close`.
        """
        answer: Future[Answer] = Future()
        self.submit(lambda: answer.set_result(question()))
        while True:
            try:
                return answer.result(timeout=POLL_SECONDS)
            except TimeoutError:
                self._raise_failure()
                if self.is_away and self._stop.made:
                    raise KeyboardInterrupt from None

    def close(self) -> None:
        """Wait for all writes; once the run is to stop, not for a store that is away.

        Raises:
            StoreWriteError: A write failed for good; those after it were not made.
        """
        self._closing = True
        self._queue.put(None)
        self._thread.join()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise StoreWriteError(
                f"the tracking store refused a write ({_first_line(self.failure)}); "
                f"finished trials are safe in {self._stores.checkpoints}: put the "
                "cause right and give the same command again"
            ) from self.failure

    def _work(self) -> None:
        while (write := self._queue.get()) is not None:
            if self.failure is None:
                self._make(write)

    def _make(self, write: _Write) -> None:
        first = time.monotonic()
        while True:
            try:
                write.do(*write.arguments)
            except Exception as error:  # whatever the store's client raises
                if not self._wait(error, first):
                    self.failure = error
                    self._stop.make()
                    return
            else:
                return

    def _wait(self, error: Exception, first: float) -> bool:
        """Wait for a better moment; False when there will be none."""
        if is_disk_full(error):
            return False
        if self._works():
            time.sleep(POLL_SECONDS)
            return time.monotonic() - first < self._patience
        self._say("the tracking store does not answer: results wait in the storage")
        self.is_away = True
        while not self._works():
            if self._closing and self._stop.made:
                return False
            time.sleep(POLL_SECONDS)
        self.is_away = False
        self._say("the tracking store answers again")
        return True


def patience_seconds() -> float:
    """:data:`PATIENCE_SECONDS`, unless the environment says otherwise.

    Raises:
        ConfigError: It says something that is no number of seconds.
    """
    text = os.environ.get(PATIENCE_VARIABLE)
    if text is None:
        return PATIENCE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        message = f"must be a number of seconds, at least 0, got {text!r}"
        raise ConfigError([Problem(PATIENCE_VARIABLE, message)])
    return seconds


def _first_line(error: BaseException) -> str:
    return redacted((str(error).splitlines() or [type(error).__name__])[0])
