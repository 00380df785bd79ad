"""A thread that does what it is given, so that training need not wait for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType


class Background:
    """Does its tasks one by one, in order, in a thread that dies with the process.

    The thread lives in the ``with`` block. What a task raises is raised at the next
    call here, in the caller's thread; the tasks after it are dropped. Leaving the block
    waits for all tasks; if it is left by an exception, for the running one and no
    longer than ``patience_seconds``.

    Args:
        patience_seconds: See above.
    """

    def __init__(self, patience_seconds: float = 10.0) -> None:
        self._patience = patience_seconds
        self._dropped = False
        self._tasks: queue.SimpleQueue[Callable[[], object] | None]
        self._tasks = queue.SimpleQueue()
        self._idle = threading.Event()
        self._lock = threading.Lock()
        self._num_open = 0
        self._error: BaseException | None = None
        self._idle.set()

    def __enter__(self) -> Background:
        threading.Thread(target=self._work, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._dropped = error is not None
        self._tasks.put(None)
        if error is None:
            self.wait()
        else:
            self._idle.wait(self._patience)

    @property
    def busy(self) -> bool:
        """Whether a task is not done yet."""
        return not self._idle.is_set()

    def do(self, task: Callable[[], object]) -> None:
        """Queue a task.

        Raises:
            BaseException: What an earlier task raised.
        """
        self._raise()
        with self._lock:
            self._num_open += 1
            self._idle.clear()
        self._tasks.put(task)

    def wait(self, timeout: float | None = None) -> None:
        """Until all tasks are done, or ``timeout`` seconds.

        Raises:
            BaseException: What a task raised.
        """
        self._idle.wait(timeout)
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                if self._error is None and not self._dropped:
                    task()
            except BaseException as error:  # SystemExit too is the caller's
                self._error = error
            with self._lock:
                self._num_open -= 1
                if not self._num_open:
                    self._idle.set()
