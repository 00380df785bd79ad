"""Frozen workers: a frozen worker is one that has stopped showing that it runs.

The kernel may have stopped it, or native code may hold it. The watchdog inside a worker
sees a trial that waits or computes for ever, but not a process that no thread can run
in. Such a worker is ended from here, and its trial goes on from its last checkpoint,
like one whose process died.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

START_SECONDS = 60.0
"""For a worker to load what it needs before it is heard, besides its limit."""
LOOK_SECONDS = 1.0
STALL_SECONDS = 10.0
"""Between two looks: then the driver itself stood still (Ctrl-Z), and knows nothing."""


class FrozenWorkers:
    """Ends workers that have been silent for longer than they promised.

    Its first sign of life is expected as soon as it has started, and with
    ``{"alive": seconds}`` it promises the next. Trials with several workers are not
    watched.

    Args:
        kill: Ends the actor of one of Tune's trials.
    """

    def __init__(self, kill: Callable[[Any], None]) -> None:
        self._kill = kill
        self._heard: dict[str, tuple[float, float, Any]] = {}
        self._ended: dict[str, float] = {}
        self._looked = time.monotonic()

    def heard(self, trial: Any, promised: float | None) -> None:
        """Note a sign of life; ``promised``: that others will come within so long."""
        name = trial.trial_id
        self._ended.pop(name, None)
        if promised is not None or name in self._heard:
            limit = promised or self._heard[name][1]
            self._heard[name] = time.monotonic(), limit, trial

    def over(self, trial: Any) -> None:
        """Nothing more is to be heard of it, or its process is another one now."""
        self._heard.pop(trial.trial_id, None)

    def seconds_frozen(self, trial: Any) -> float | None:
        """How long it had been silent when it was ended here; None: it was not."""
        return self._ended.get(trial.trial_id)

    def look(self) -> None:
        """End what has been silent for too long; costs next to nothing."""
        now, before = time.monotonic(), self._looked
        if now - before < LOOK_SECONDS:
            return
        self._looked = now
        stalled = now - before > STALL_SECONDS
        for name, (at, limit, trial) in list(self._heard.items()):
            if stalled:
                self._heard[name] = now, limit, trial
            elif now - at > limit:
                del self._heard[name]
                self._ended[name] = limit
                self._kill(trial)
