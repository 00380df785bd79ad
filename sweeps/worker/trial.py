"""What runs inside a Ray worker: one trial, its events packed into reports.

The worker writes to the trial's folder in the storage (:mod:`sweeps.worker.spool`) and
nowhere else. Whatever goes wrong inside a trial becomes a record that says so; Ray
only sees processes that die, and starts those trials again from their last checkpoint.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ablations.mlflow_names import LOST_METRIC
from ablations.record import Record, Status
from ablations.redaction import redacted
from d2v_core.config import TrialConfig, parse_trial
from d2v_core.errors import DivergedError
from d2v_core.files import is_disk_full
from d2v_core.kept_files import BrokenEncoderError
from d2v_core.trained import TrainedEncoder
from d2v_core.training.background import Background
from d2v_core.training.checkpoint import TrainingState, snapshot, write_checkpoint
from d2v_core.training.events import (
    CheckpointDue,
    Event,
    Finished,
    Probed,
    Progress,
    Started,
    Trained,
)
from d2v_core.training.parallel import ALONE, PeerLostError, Workers
from d2v_core.trial import evaluate_trained, run_trial
from sweeps.environment import describe_environment
from sweeps.worker.core_warnings import warnings_sent
from sweeps.worker.encoders import EncoderStore
from sweeps.worker.job import spool_of
from sweeps.worker.loaded_data import load_once
from sweeps.worker.outbox import Outbox, PendingProgress, Send, unix_milliseconds
from sweeps.worker.pictures import leave_picture
from sweeps.worker.spool import Entry, Spool
from sweeps.worker.system_metrics import SystemMetrics
from sweeps.worker.watchdog import Watchdog


def run_job(job: Mapping[str, Any], send: Send, workers: Workers = ALONE) -> None:
    """Run one trial and send its progress and its record.

    Args:
        job: ``key``, ``training`` (the training key), ``trial`` (the configuration),
            ``folder`` (its own in the storage), ``encoders`` (where they are kept),
            ``stop_file`` (someone wants the run to stop), ``data_name``,
            ``data_digest`` and ``num_workers`` (which share the training).
        send: Takes ``{"started": ...}``, ``{"progress": [...]}``, ``{"probe": {...}}``,
            ``{"said": line}``, ``{"alive": seconds}`` and, last, ``{"record": {...}}``,
            or ``{"stopped": True}``, with ``"trouble"`` if the disk is full.
        workers: Those that train it together; this is the first of them.

    Raises:
        PeerLostError: Another worker is gone, which says nothing of the trial.
    """
    outbox = Outbox(send)
    with outbox, warnings_sent(outbox.send):
        if is_over(job, outbox.send):
            return
        try:
            _train(job, outbox, workers)
        except Exception as error:
            if not is_disk_full(error):
                raise
            trouble = f"{job['folder']}: {error}"
            outbox.send({"stopped": True, "trouble": trouble})


def _train(job: Mapping[str, Any], outbox: Outbox, workers: Workers) -> None:
    spool, stop_file = spool_of(job), Path(job["stop_file"])
    pending = PendingProgress(outbox.send, spool)
    attempt = Attempt(job, pending, workers)
    limit = job["trial"]["execution"]["silence_seconds"]
    try:
        awake = partial(outbox.awake, limit) if workers.count == 1 else None
        watchdog = Watchdog(limit, partial(attempt.give_up, limit), awake)
        with watchdog, attempt.saving:
            record = attempt.run(watchdog, stop_file)
    except PeerLostError:
        raise
    except Exception as error:  # every failure of a trial becomes its record
        if is_disk_full(error):
            raise  # which says nothing of the trial
        record = attempt.failed(error)
    pending.flush()
    if record is None:
        outbox.send({"stopped": True})
        return
    hand_in(record, spool, outbox.send, pending.history())


def is_over(job: Mapping[str, Any], send: Send) -> bool:
    """Whether there is nothing to train, as it has ended or must not start; says so."""
    spool = spool_of(job)
    if ended := spool.read_record():  # before its process died, or hanging
        pending = PendingProgress(send, spool)
        pending.take_in(spool.read_progress())
        pending.flush()
        send({"record": ended[0].model_dump_json(), "time": ended[1]})
        return True
    if Path(job["stop_file"]).exists():
        send({"stopped": True})
        return True
    return False


def hand_in(
    record: Record, spool: Spool, send: Send, history: Sequence[Entry] = ()
) -> None:
    """Write a record down with what led to it, then send it."""
    now = unix_milliseconds()
    spool.write_record(record, now, history)
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
        self._encoders = EncoderStore(Path(job["encoders"]))
        self._started: Started | None = None
        self._seconds = self._saved_seconds = 0.0
        self.saving = Background()

    def run(self, watchdog: Watchdog, stop_file: Path) -> Record | None:
        """The record of the trial; None when it was stopped, after saving."""
        pending, trial = self._pending, parse_trial(self._job["trial"])
        system = SystemMetrics() if trial.execution.system_metrics else None
        for event in self._events(trial, stop_file):
            watchdog.sign_of_life()
            match event:
                case Started():
                    self._started = event
                    self._seconds = self._saved_seconds = event.seconds
                    pending.send_now({"started": vars(event)})
                    pending.resend(until=event.step)
                case Progress():
                    self._seconds = event.seconds
                    used = system.read() if system else {}
                    pending.add(replace(event, metrics={**event.metrics, **used}))
                case Probed():
                    with watchdog.paused():  # the driver may take its time
                        pending.probed(event)
                case CheckpointDue(stopping=False) if self.saving.busy:
                    pass  # a slow disk: the next one will do
                case CheckpointDue() if self._workers.rank == 0:
                    self._save(event.state)
                case Trained() if self._workers.rank == 0:
                    self._keep(trial, event.state)
                    dataset = load_once(trial, self._job["data_digest"])
                    leave_picture(trial, event.state.objective, dataset, pending)
                case Finished():
                    return self._finished(event)
        return None

    def _events(self, trial: TrialConfig, stop_file: Path) -> Iterator[Event]:
        """Those of the training, or of the evaluation alone if the encoder is kept."""
        spool = self._pending.spool
        dataset = load_once(trial, self._job["data_digest"])
        if trained := self._kept(trial):
            if not self._workers.rank:
                self._pending.take_in(trained.history)
                yield from evaluate_trained(trial, trained, dataset=dataset)
            return
        spool.set_aside_torn_checkpoint()
        yield from run_trial(
            trial,
            checkpoint=spool.checkpoint,
            dataset=dataset,
            stop_wanted=stop_file.exists,
            workers=self._workers,
        )

    def _kept(self, trial: TrialConfig) -> TrainedEncoder | None:
        training = self._job["training"]
        trained = self._encoders.read(training)
        if trained is not None:
            try:
                trained.encoder(trial)
            except BrokenEncoderError as error:
                self._encoders.set_aside(training, str(error))
                return None
        return trained

    def _keep(self, trial: TrialConfig, state: TrainingState) -> None:
        """Write the encoder while it is evaluated; then nothing is left to continue."""
        started = self._started
        assert started is not None
        trained = TrainedEncoder.taken_from(
            state,
            trial,
            data=started.data,
            inventory=started.inventory,
            history=self._pending.history(),
        )
        self._saved_seconds = state.seconds

        def write() -> None:
            self._encoders.write(self._job["training"], trained)
            self._pending.spool.forget_training()

        self.saving.do(write)

    def _save(self, state: TrainingState) -> None:
        """Write a checkpoint while training goes on."""
        spool, history = self._pending.spool, self._pending.history()
        content = snapshot(state)
        self._saved_seconds = state.seconds

        def write() -> None:
            spool.write_history(history)  # first: it must reach at least as far
            write_checkpoint(spool.checkpoint, content)

        self.saving.do(write)

    def give_up(self, seconds: float) -> None:
        """End a process that shows no sign of life; its next start hands this in."""
        error = TimedOutError(f"no sign of life for {seconds:g} seconds")
        try:
            history, now = self._pending.history(), unix_milliseconds()
            self._pending.spool.write_record(self.failed(error), now, history)
        finally:  # a full disk, say: without a record it is one more death
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
            draws=dict(event.draws),
            notes=event.notes,
            **self._common(),
        )

    def failed(self, error: Exception) -> Record:
        """The record of a trial that ended with an error."""
        status = status_of(error)
        return Record(
            status=status,
            reason=redacted(f"{type(error).__name__}: {error}"),
            steps=self._pending.last_step,
            num_parameters=self._started.num_parameters if self._started else 0,
            metrics={LOST_METRIC: self._seconds - self._saved_seconds},
            notes=(traceback.format_exc(),) if status == "failed" else (),
            **self._common(),
        )

    def _common(self) -> dict[str, Any]:
        job, environment = self._job, describe_environment()
        if self._workers.count > 1:
            environment["num_workers"] = str(self._workers.count)
        return {
            "key": job["key"],
            "training": job["training"],
            "seed": job["trial"]["seed"],
            "data_name": job["data_name"],
            "data_digest": job["data_digest"],
            "data_inventory": dict(self._started.inventory) if self._started else {},
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
