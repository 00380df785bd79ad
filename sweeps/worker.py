"""What runs inside a Ray worker: one trial, its events packed into reports.

The worker writes checkpoints to the storage folder and nothing else. Whatever goes
wrong inside a trial becomes a record with status ``failed``; Ray only sees processes
that die, and starts those trials again from their last checkpoint.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ablations.record import Record
from d2v_core.config import parse_trial
from d2v_core.data.cache import write_atomically
from d2v_core.errors import DivergedError
from d2v_core.events import CheckpointDue, Finished, Progress, Started
from d2v_core.trial import run_trial
from sweeps.environment import describe_environment

REPORT_SECONDS = 1.0
"""Progress is sent to the driver at most this often."""

Entry = tuple[int, int, dict[str, float]]
"""Step, unix milliseconds, metrics."""

Send = Callable[[dict[str, Any]], None]


def run_job(job: Mapping[str, Any], send: Send) -> None:
    """Run one trial and send its progress and its record.

    Args:
        job: ``key``, ``trial`` (the configuration), ``checkpoint`` (its file),
            ``data_name`` and ``data_digest``.
        send: Takes ``{"progress": [...]}`` and, last, ``{"record": {...}}``.
    """
    checkpoint = Path(job["checkpoint"])
    history = checkpoint.with_name("history.json")
    pending = PendingProgress(send)
    started: Started | None = None
    record: Record | None = None
    try:
        trial = parse_trial(job["trial"])
        for event in run_trial(trial, checkpoint=checkpoint):
            match event:
                case Started():
                    started = event
                    pending.send_now({"started": vars(event)})
                    pending.resend(history, until=event.step)
                case Progress():
                    pending.add(event)
                case CheckpointDue():
                    pending.save(history)
                    event.save(checkpoint)
                case Finished():
                    assert started is not None
                    record = _finished(job, started, event)
    except Exception as error:  # every failure of a trial becomes its record
        record = _failed(job, started, pending.last_step, error)
    assert record is not None
    pending.flush()
    send({"record": record.model_dump_json(), "time": _now()})


class PendingProgress:
    """Collects progress events and sends them together, not more than once a second.

    What was sent may not have reached the store when everything dies, so the whole
    history lies beside the checkpoint and is sent again after a resume; the driver
    drops what the store already has.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._history: list[Entry] = []
        self._num_sent = 0
        self._last_sent = time.monotonic()

    @property
    def last_step(self) -> int:
        """Update of the last event; 0 before the first."""
        return self._history[-1][0] if self._history else 0

    def add(self, event: Progress) -> None:
        """Take in one event."""
        self._history.append((event.step, _now(), dict(event.metrics)))
        if time.monotonic() - self._last_sent >= REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what has been collected."""
        if new := self._history[self._num_sent :]:
            self.send_now({"progress": new})
            self._num_sent = len(self._history)

    def send_now(self, message: dict[str, Any]) -> None:
        """Send a message at once."""
        self._send(message)
        self._last_sent = time.monotonic()

    def save(self, file: Path) -> None:
        """Write the history, before the checkpoint: it must reach at least as far."""
        write_atomically(file, json.dumps(self._history).encode())

    def resend(self, file: Path, until: int) -> None:
        """Send the history of an earlier attempt, up to where training resumes."""
        if until and file.exists():
            entries = json.loads(file.read_text())
            self._history = [tuple(entry) for entry in entries if entry[0] <= until]
            self.flush()


def _finished(job: Mapping[str, Any], started: Started, event: Finished) -> Record:
    return Record(
        key=job["key"],
        status=event.status,
        reason=event.notes[0] if event.status == "collapsed" else "",
        seed=job["trial"]["seed"],
        steps=event.step,
        num_parameters=started.num_parameters,
        metrics=dict(event.metrics),
        choices=dict(event.choices),
        notes=event.notes,
        data_name=job["data_name"],
        data_digest=job["data_digest"],
        environment=describe_environment(),
    )


def _failed(
    job: Mapping[str, Any], started: Started | None, step: int, error: Exception
) -> Record:
    reason = f"{type(error).__name__}: {error}"
    expected = isinstance(error, DivergedError)
    return Record(
        key=job["key"],
        status="failed",
        reason=reason,
        seed=job["trial"]["seed"],
        steps=step,
        num_parameters=started.num_parameters if started else 0,
        metrics={},
        notes=() if expected else (traceback.format_exc(),),
        data_name=job["data_name"],
        data_digest=job["data_digest"],
        environment=describe_environment(),
    )


def _now() -> int:
    return int(time.time() * 1_000)
