"""What the driver hears of running trials, whoever runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ablations.record import Record, Status

MAX_RESTARTS = 2
"""Times a trial whose process died is started again, from its last checkpoint."""


class Listener(Protocol):
    """Hears of trials on the driver, in order, from one thread."""

    def trial_started(self, key: str, step: int, num_steps: int) -> None:
        """Networks are built; ``step`` updates are already done."""
        ...

    def trial_progressed(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        """Metrics as ``(step, unix milliseconds, values)``."""
        ...

    def trial_ended(self, record: Record, timestamp: int) -> None:
        """The record, whatever its status."""
        ...

    def trial_stopped(self, key: str) -> None:
        """It saved its state because the run is to stop."""
        ...

    def trial_lost(self, key: str, status: Status, reason: str) -> None:
        """The process died more often than is tolerated."""
        ...
