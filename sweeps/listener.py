"""What the driver hears of running trials, whoever runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablations.record import Record, Status

MAX_RESTARTS = 2
"""Times a trial whose process died is started again, from its last checkpoint."""


class Listener:
    """Hears of trials on the driver, in order, from one thread; this one ignores all.

    What does several things at once is :class:`Listeners`.
    """

    def trial_started(self, key: str, step: int, num_steps: int) -> None:
        """Networks are built; ``step`` updates are already done."""

    def said(self, line: str) -> None:
        """A line from a worker for people, perhaps one that others say too.

        What was found of the data, say, or that a file was torn.
        """

    def trial_progressed(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        """Metrics as ``(step, unix milliseconds, values)``."""

    def trial_ended(self, record: Record, timestamp: int) -> None:
        """The record, whatever its status."""

    def trial_stopped(self, key: str, trouble: str) -> None:
        """It ended because the run is to stop, or ``trouble`` stops the run."""

    def trial_lost(self, key: str, status: Status, reason: str) -> None:
        """The process died more often than is tolerated."""

    def trial_given_up(self, key: str, reason: str) -> None:
        """A search has stopped it early: it has no result."""

    def ray_lacks(self, loss: str) -> None:
        """This version of Ray does not give something; perhaps said more than once."""


class Listeners(Listener):
    """Several listeners as one; each hears in turn.

    Args:
        listeners: In order.
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def trial_started(self, key: str, step: int, num_steps: int) -> None:
        """Forwarded."""
        for listener in self._listeners:
            listener.trial_started(key, step, num_steps)

    def said(self, line: str) -> None:
        """Forwarded."""
        for listener in self._listeners:
            listener.said(line)

    def trial_progressed(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        """Forwarded."""
        for listener in self._listeners:
            listener.trial_progressed(key, progress)

    def trial_ended(self, record: Record, timestamp: int) -> None:
        """Forwarded."""
        for listener in self._listeners:
            listener.trial_ended(record, timestamp)

    def trial_stopped(self, key: str, trouble: str) -> None:
        """Forwarded."""
        for listener in self._listeners:
            listener.trial_stopped(key, trouble)

    def trial_lost(self, key: str, status: Status, reason: str) -> None:
        """Forwarded."""
        for listener in self._listeners:
            listener.trial_lost(key, status, reason)

    def trial_given_up(self, key: str, reason: str) -> None:
        """Forwarded."""
        for listener in self._listeners:
            listener.trial_given_up(key, reason)

    def ray_lacks(self, loss: str) -> None:
        """Forwarded."""
        for listener in self._listeners:
            listener.ray_lacks(loss)
