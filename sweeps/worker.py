"""What runs inside a Ray worker: one trial, its events packed into reports.

The worker writes to the trial's folder in the storage (:mod:`sweeps.spool`) and nowhere
else. Whatever goes wrong inside a trial becomes a record that says so; Ray only sees
processes that die, and starts those trials again from their last checkpoint.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ablations.record import Record, Status
from d2v_core.config import parse_trial
from d2v_core.errors import DivergedError
from d2v_core.events import (
    CheckpointDue,
    Finished,
    Probed,
    Progress,
    Started,
    Trained,
)
from d2v_core.files import is_disk_full
from d2v_core.parallel import ALONE, PeerLostError, Workers
from d2v_core.trial import run_trial
from sweeps.environment import describe_environment
from sweeps.spool import Entry, Spool

REPORT_SECONDS = 1.0
"""Progress is sent to the driver at most this often."""

Send = Callable[[dict[str, Any]], None]


def run_job(job: Mapping[str, Any], send: Send, workers: Workers = ALONE) -> None:
    """Run one trial and send its progress and its record.

    Args:
        job: ``key``, ``trial`` (the configuration), ``folder`` (its own in the
            storage), ``stop_file`` (someone wants the run to stop), ``data_name`` and
            ``data_digest``.
        send: Takes ``{"started": ...}``, ``{"progress": [...]}``, ``{"probe": {...}}``
            and, last, ``{"record": {...}}``, or ``{"stopped": True}``, with
            ``"trouble"`` if the disk is full.
        workers: Those that train it together; this is the first of them.

    Raises:
        PeerLostError: Another worker is gone, which says nothing of the trial.
    """
    if is_over(job, send):
        return
    try:
        _train(job, send, workers)
    except Exception as error:
        if not is_disk_full(error):
            raise
        send({"stopped": True, "trouble": f"{job['folder']}: {error}"})


def _train(job: Mapping[str, Any], send: Send, workers: Workers) -> None:
    spool, stop_file = Spool(Path(job["folder"])), Path(job["stop_file"])
    pending = PendingProgress(send, spool)
    attempt = Attempt(job, pending, workers)
    limit = job["trial"]["execution"]["silence_seconds"]
    try:
        with Watchdog(limit, partial(attempt.give_up, limit)) as watchdog:
            record = attempt.run(watchdog, stop_file)
    except PeerLostError:
        raise
    except Exception as error:  # every failure of a trial becomes its record
        if is_disk_full(error):
            raise  # which says nothing of the trial
        record = attempt.failed(error)
    pending.flush()
    if record is None:
        send({"stopped": True})
        return
    pending.save()
    hand_in(record, spool, send)


def is_over(job: Mapping[str, Any], send: Send) -> bool:
    """Whether there is nothing to train, as it has ended or must not start; says so."""
    spool = Spool(Path(job["folder"]))
    if ended := spool.read_record():  # before its process died, or hanging
        PendingProgress(send, spool).resend(until=ended[0].steps)
        send({"record": ended[0].model_dump_json(), "time": ended[1]})
        return True
    if Path(job["stop_file"]).exists():
        send({"stopped": True})
        return True
    return False


def hand_in(record: Record, spool: Spool, send: Send) -> None:
    """Write a record down, then send it."""
    now = _now()
    spool.write_record(record, now)
    send({"record": record.model_dump_json(), "time": now})


class Attempt:
    """One try at one trial in this process.

    Args:
        job: As in :func:`run_job`.
        pending: Takes the progress.
        workers: Those that train it together; the first of them saves.
    """

    def __init__(
        self, job: Mapping[str, Any], pending: PendingProgress, workers: Workers = ALONE
    ) -> None:
        self._job, self._pending, self._workers = job, pending, workers
        self._started: Started | None = None

    def run(self, watchdog: Watchdog, stop_file: Path) -> Record | None:
        """The record of the trial; None when it was stopped, after saving."""
        pending, checkpoint = self._pending, self._pending.spool.checkpoint
        trial = parse_trial(self._job["trial"])
        for event in run_trial(
            trial,
            checkpoint=checkpoint,
            stop_wanted=stop_file.exists,
            workers=self._workers,
        ):
            watchdog.sign_of_life()
            match event:
                case Started():
                    self._started = event
                    pending.send_now({"started": vars(event)})
                    pending.resend(until=event.step)
                case Progress():
                    pending.add(event)
                case Probed():
                    pending.probed(event)
                case CheckpointDue() | Trained() if self._workers.rank == 0:
                    pending.save()
                    event.save(checkpoint)
                case Finished():
                    return self._finished(event)
        return None

    def give_up(self, seconds: float) -> None:
        """End a process that shows no sign of life; its next start hands this in."""
        error = TimedOutError(f"no sign of life for {seconds:g} seconds")
        self._pending.save()
        self._pending.spool.write_record(self.failed(error), _now())
        os._exit(1)

    def _finished(self, event: Finished) -> Record:
        assert self._started is not None
        return Record(
            status=event.status,
            reason=event.notes[0] if event.status == "collapsed" else "",
            steps=event.step,
            num_parameters=self._started.num_parameters,
            metrics=dict(event.metrics),
            choices=dict(event.choices),
            notes=event.notes,
            **self._common(),
        )

    def failed(self, error: Exception) -> Record:
        """The record of a trial that ended with an error."""
        status = status_of(error)
        return Record(
            status=status,
            reason=f"{type(error).__name__}: {error}",
            steps=self._pending.last_step,
            num_parameters=self._started.num_parameters if self._started else 0,
            metrics={},
            notes=(traceback.format_exc(),) if status == "failed" else (),
            **self._common(),
        )

    def _common(self) -> dict[str, Any]:
        job, environment = self._job, describe_environment()
        if self._workers.count > 1:
            environment["num_workers"] = str(self._workers.count)
        return {
            "key": job["key"],
            "seed": job["trial"]["seed"],
            "data_name": job["data_name"],
            "data_digest": job["data_digest"],
            "environment": environment,
        }


class TimedOutError(RuntimeError):
    """A trial showed no sign of life for longer than its limit."""


def status_of(error: Exception) -> Status:
    """How a trial that raised ended."""
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "out_of_memory"
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return "out_of_memory"  # torch's allocator on the CPU
    return "timed_out" if isinstance(error, TimedOutError) else "failed"


class Watchdog:
    """Calls for help when nothing has been heard for too long.

    Args:
        seconds: How long; None: for ever.
        give_up: Called then, in a thread of its own.
    """

    def __init__(self, seconds: float | None, give_up: Callable[[], None]) -> None:
        self._seconds, self._give_up = seconds, give_up
        self._heard = time.monotonic()
        self._over = threading.Event()

    def __enter__(self) -> Watchdog:
        if self._seconds is not None:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()

    def sign_of_life(self) -> None:
        """Something happened."""
        self._heard = time.monotonic()

    def _watch(self) -> None:
        assert self._seconds is not None
        while not self._over.wait(min(1.0, self._seconds / 4)):
            if time.monotonic() - self._heard > self._seconds:
                self._give_up()
                return


class PendingProgress:
    """Collects progress events and sends them together, not more than once a second.

    What was sent may not have reached the store when everything dies, so the whole
    history lies beside the checkpoint and is sent again after a resume; the driver
    drops what the store already has.

    Args:
        send: As in :func:`run_job`.
        spool: Of the trial.
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
        self._history.append((event.step, _now(), dict(event.metrics)))
        if time.monotonic() - self._last_sent >= REPORT_SECONDS:
            self.flush()

    def probed(self, event: Probed) -> None:
        """Take in a probe, and send it at once: somebody may want to stop the trial.

        Its metrics are logged as ``probe/...``; ``eval/...`` are final.
        """
        metrics = {k.removeprefix("eval/"): v for k, v in event.metrics.items()}
        logged = {f"probe/{name}": value for name, value in metrics.items()}
        self._history.append((event.step, _now(), logged))
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

    def save(self) -> None:
        """Write the history, before the checkpoint: it must reach at least as far."""
        self.spool.write_history(self._history)

    def resend(self, until: int) -> None:
        """Send the history of an earlier attempt, up to where training resumes."""
        if until:
            entries = self.spool.read_history()
            self._history = [entry for entry in entries if entry[0] <= until]
            self.flush()


def _now() -> int:
    return int(time.time() * 1_000)
