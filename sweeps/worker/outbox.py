"""What a worker says goes out in a thread of its own: training does not wait for it.

``ray.tune.report`` returns only once the driver has taken the report and asked for the
next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ablations.mlflow_names import probe_metric
from d2v_core.training.background import Background
from d2v_core.training.events import Probed, Progress
from sweeps.worker.spool import Entry, Spool

Send = Callable[[dict[str, Any]], None]
REPORT_SECONDS = 1.0
"""Progress is sent to the driver at most this often."""
GRACE_SECONDS = 10.0
"""For a worker to notice by itself that its limit has passed, and to say so."""


class Outbox(Background):
    """Sends messages in their order.

    Args:
        send: Sends one; may end the trial by raising ``SystemExit``, as Ray Tune does.
    """

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; wait only after a probe, which may end the trial.

        Raises:
            BaseException: What sending an earlier message has raised.
        """
        self.do(partial(self._send, message))
        if "probe" in message:
            self.wait()

    def awake(self, limit: float) -> None:
        """Show that this process runs; it will again, well within the limit."""
        if not self.busy:
            self.send({"alive": limit + GRACE_SECONDS})


class PendingProgress:
    """Collects progress events and sends them together, not more than once a second.

    What was sent may not have reached the store when everything dies, so the whole
    history lies beside the checkpoint and is sent again after a resume; the driver
    drops what the store already has.

    Args:
        send: As in :class:`Outbox`.
        spool: Spool of the trial.
    """

    def __init__(self, send: Send, spool: Spool) -> None:
        self._send, self.spool = send, spool
        self._history: list[Entry] = []
        self._num_sent = 0
        self._last_sent = time.monotonic()

    @property
    def last_step(self) -> int:
        """Update of the last event; 0 before the first."""
        return self._history[-1][0] if self._history else 0

    def add(self, event: Progress) -> None:
        """Take in one event."""
        self._history.append((event.step, unix_milliseconds(), dict(event.metrics)))
        if time.monotonic() - self._last_sent >= REPORT_SECONDS:
            self.flush()

    def probed(self, event: Probed) -> None:
        """Take in a probe, and send it at once.

        Its metrics are logged as ``probe/...``; ``eval/...`` are final.
        """
        metrics = {k.removeprefix("eval/"): v for k, v in event.metrics.items()}
        logged = {probe_metric(name): value for name, value in metrics.items()}
        self._history.append((event.step, unix_milliseconds(), logged))
        self.flush()
        probe = {"step": event.step, "share": event.share, **metrics}
        self.send_now({"probe": probe})

    def flush(self) -> None:
        """Send what has been collected."""
        if new := self._history[self._num_sent :]:
            self.send_now({"progress": new})
            self._num_sent = len(self._history)

    def send_now(self, message: dict[str, Any]) -> None:
        """Send a message at once."""
        self._send(message)
        self._last_sent = time.monotonic()

    def history(self) -> list[Entry]:
        """All of it so far, earlier attempts included."""
        return list(self._history)

    def take_in(self, history: Sequence[Entry]) -> None:
        """Take in the progress of a training that others have made; see ``resend``."""
        self._history = list(history)

    def resend(self, until: int) -> None:
        """Send the history of an earlier attempt, up to where training resumes."""
        if self._history:
            self.flush()
        elif until:
            entries = self.spool.read_history()
            self._history = [entry for entry in entries if entry[0] <= until]
            self.flush()


def unix_milliseconds() -> int:
    """Now."""
    return int(time.time() * 1_000)
