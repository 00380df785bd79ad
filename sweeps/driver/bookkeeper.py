"""Keeps store, board and outcome in step with what the trials say."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ablations.record import DONE, Record, Status
from sweeps.driver.outcome import Outcome
from sweeps.driver.progress import LiveView
from sweeps.driver.trainings import TrainingPolicy, Trainings, with_key
from sweeps.environment import describe_environment
from sweeps.listener import Listener
from sweeps.plan.costing import with_flops
from sweeps.plan.deleted import deleted_note, missing_deleted
from sweeps.plan.planning import make_manifest, unique_trials
from sweeps.planned import PlannedCell, StudyPlan
from sweeps.stopping import StopRequest
from sweeps.tracking.locks import TrialLocks
from sweeps.tracking.stores import Stores, answers
from sweeps.tracking.writer import StoreWriter
from sweeps.worker.encoders import EncoderStore
from sweeps.worker.job import Job
from sweeps.worker.spool import Spool

if TYPE_CHECKING:
    from sweeps.tracking.reader import StoredTrial
    from sweeps.tracking.tracker import Tracker


def open_tracker(stores: Stores, command: str) -> Tracker:
    """The store, made if it is new; importing MLflow and making one take seconds."""
    from sweeps.tracking.tracker import Tracker

    return Tracker(stores, command)


class Bookkeeper(Listener):
    """Keeps store, board and outcome in step with what the trials say.

    Args:
        plans: The studies; the first that has a trial is where it is logged.
        open_tracker: Opens the store; called by the thread that writes.
        stores: The places.
        view: Of the board, which is filled and kept here.
        data_names: Name of the data by key.
        locks: Says which trials and trainings are ours.
        stop: Of the run.
        training: Whether encoders that are not kept are trained, and stay kept.
    """

    def __init__(
        self,
        plans: Sequence[StudyPlan],
        open_tracker: Callable[[], Tracker],
        stores: Stores,
        view: LiveView,
        data_names: Mapping[str, str],
        locks: TrialLocks,
        stop: StopRequest,
        training: TrainingPolicy = TrainingPolicy(),  # noqa: B008 (frozen)
    ) -> None:
        self.plans, self.stores, self._open_tracker = plans, stores, open_tracker
        self._data_names, self._locks, self._stop = data_names, locks, stop
        self._trainings = Trainings(EncoderStore(stores.encoders), locks, training)
        self.outcome = Outcome()
        self.view, self.board = view, view.board
        self._writer = StoreWriter(stores, view.say, stop, self._store_works)
        self._cells = unique_trials(plans)
        self._home = {c.key: plan for plan in reversed(plans) for c in plan.cells}
        self._by_key = defaultdict[str, list[tuple[StudyPlan, PlannedCell]]](list)
        for plan in plans:
            for cell in plan.cells:
                self._by_key[cell.key].append((plan, cell))
        self._evaluates: set[str] = set()
        self._to_open: str | None = None
        self._parents: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        self._logged_until: dict[str, int] = {}

    @cached_property
    def tracker(self) -> Tracker:
        """The only writer of the store."""
        return self._open_tracker()

    def _store_works(self) -> bool:
        return answers(self.stores.tracking_uri) and self.tracker.works()

    def open(self, make_command: str) -> None:
        """Put every trial on the board, and open the studies' runs.

        A new store is made once there is something to write: until the first trial has
        started, the processor is better used by the processes that start it.
        """
        for cell in self._cells.values():
            self.board.add(cell, "waiting")
        self._to_open = make_command
        if not self.stores.is_new:
            self._submit_open()

    def _submit(self, do: Callable[..., None], *arguments: object) -> None:
        self._submit_open()
        self._writer.submit(do, *arguments)

    def _submit_open(self) -> None:
        if self._to_open is not None:
            self._writer.submit(self._open, self._to_open)
            self._to_open = None

    def _open(self, make_command: str) -> None:
        for plan in self.plans:
            previous = self.tracker.manifest(plan)
            manifest = make_manifest(plan, make_command, previous)
            self._parents[plan.name] = self.tracker.open_study(plan, manifest)
            if deleted := missing_deleted(plan, self.tracker):
                self.view.say(deleted_note(plan.name, deleted))

    def claim(self) -> list[PlannedCell]:
        """Trials that are now ours to train, in order; takes in what the store has.

        Results of an earlier run that the store did not get are handed in.
        """
        waiting = [key for key, trial in self.board.trials.items() if trial.waits]
        if not waiting:
            return []
        ours = {key for key in waiting if self._locks.take(key)}
        # After taking: others may have ended some.
        stored = self._stored(waiting)
        claimed = []
        for key in waiting:
            known = stored.get(key)
            if known is not None and known.done:
                self._adopt(key, known)
            elif key not in ours:
                self.board.trials[key].state = "elsewhere"
            elif not self._hand_in(key) and self._may_start(key):
                claimed.append(self._cells[key])
        return claimed

    def _may_start(self, key: str) -> bool:
        """Whether a trial can be trained, or evaluated, now; its state on the board."""
        view, cell = self.board.trials[key], self._cells[key]
        view.state = "waiting"
        match self._trainings.ask(cell.training, key):
            case "start":
                return True
            case "later":
                pass  # once its encoder is there
            case "elsewhere":
                view.state = "elsewhere"
            case "untrained":
                view.state = "lacking"
            case Record() as failed:
                now = int(time.time() * 1_000)
                self.trial_ended(with_key(failed, key), now)
        return False

    def _stored(self, keys: Sequence[str]) -> dict[str, StoredTrial]:
        if self.stores.is_new:  # our own thread is about to make it
            return {}
        return self._writer.ask(lambda: self.tracker.trials(keys))

    def job(self, cell: PlannedCell) -> Job:
        """What Ray needs to know of a trial."""
        if evaluates_only := self._trainings.encoders.has(cell.training):
            self._evaluates.add(cell.key)
        return Job(
            cell=cell,
            spool=self.spool(cell),
            encoders=self._trainings.encoders,
            evaluates_only=evaluates_only,
            stop_file=self._stop.file,
            data_name=self._data_names[cell.key],
            data_digest=self._home[cell.key].data_digest,
        )

    def _adopt(self, key: str, stored: StoredTrial) -> None:
        """Take a done trial from the store into every study that has it."""
        metric = self._home[key].metric.logged_as
        view = self.board.trials[key]
        view.state, view.score = "cached", stored.metrics.get(metric)
        self.outcome.num_cached += 1
        for plan, cell in self._uses(key):
            arm, tags = cell.arm.label, stored.tags
            self._submit(self.tracker.adopt, stored.run_id, plan, arm, tags)
        spool = self.spool(self._cells[key])  # of a driver that died just before this
        self._submit(lambda: spool.handed_in(done=True))
        self._locks.give_back(key)

    def spool(self, cell: PlannedCell) -> Spool:
        """The files of a trial."""
        return self.spool_of(cell.key, cell.training)

    def spool_of(self, key: str, training: str) -> Spool:
        """The same from its keys."""
        folder = self.stores.checkpoints
        return Spool(folder / key, folder / training)

    def _uses(self, key: str) -> list[tuple[StudyPlan, PlannedCell]]:
        """Where a trial stands in the studies."""
        return self._by_key[key]

    def _hand_in(self, key: str) -> bool:
        """Write down a result that lies in the storage; whether there was one."""
        spool = self.spool(self._cells[key])
        ended = spool.read_record()
        if ended is None:
            return False
        (record, timestamp), history = ended, spool.read_progress()
        if record.status not in DONE:  # tried again, so it must not be found there
            spool.handed_in(done=False)
            self._submit(self._log, key, history)
            self._submit(self._note_failure, record, timestamp)
            return False
        view = self.board.trials[key]
        view.state = "cached"
        view.score = record.metrics.get(self._home[key].metric.logged_as)
        self.outcome.num_cached += 1
        self._submit(self._begin, key)
        self._submit(self._log, key, history)
        self._submit(self._end, record, timestamp, True)
        return True

    def trial_started(self, key: str, step: int, num_steps: int) -> None:
        """Open or continue the trial's run."""
        view = self.board.trials[key]
        view.state, view.started = "running", time.monotonic()
        view.step = view.first_step = step
        view.num_steps = num_steps
        if step < num_steps:  # the kept encoder was broken
            self._evaluates.discard(key)
        self._submit(self._keeping_its_run, key, lambda: self._begin(key))

    def _keeping_its_run(self, key: str, write: Callable[[], None]) -> None:
        """A write to a trial's run; in a new run, if somebody deleted that one."""
        try:
            write()
        except Exception:  # whatever the store's client raises
            run_id = self._runs.get(key)
            if run_id is None or not self.tracker.is_deleted(run_id):
                raise
            label = self.board.trials[key].label
            self.view.say(f"the run of {label} was deleted: it is logged in a new one")
            del self._runs[key]
            self._logged_until.pop(key, None)
            self._begin(key)
            self._log(key, self.spool(self._cells[key]).read_progress())
            write()

    def said(self, line: str) -> None:
        """Say what a worker says, once for all that say it."""
        self.view.say_once(line)

    def _begin(self, key: str) -> None:
        if key not in self._runs:  # else its process died and it was started again
            plan, cell = self._home[key], self._cells[key]
            run_id = self.tracker.begin_trial(cell, plan, self._parents[plan.name])
            for other, twin in self._uses(key):
                if other is not plan:
                    self.tracker.adopt(run_id, other, twin.arm.label)
            self._runs[key] = run_id
        self._logged_until[key] = self.tracker.last_step(self._runs[key])

    def trial_progressed(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        """Log metrics that are not in the store yet."""
        self.board.trials[key].step = progress[-1][0]
        self.view.still_there()
        self._submit(self._keeping_its_run, key, lambda: self._log(key, progress))

    def _log(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        if key not in self._logged_until:  # it has ended before anyone heard it start
            self._begin(key)
        until = self._logged_until[key]
        new = [entry for entry in progress if entry[0] > until]
        self.tracker.log_progress(self._runs[key], new)

    def trial_stopped(self, key: str, trouble: str) -> None:
        """It ended because the run is to stop, or trouble stops the run."""
        self.board.trials[key].state = "stopped"
        if trouble and not self.outcome.trouble:
            self.outcome.trouble = trouble
            self._stop.make()

    def trial_ended(self, record: Record, timestamp: int) -> None:
        """Write the record and forget the checkpoint of a trial that is done."""
        view = self.board.trials[record.key]
        view.state = record.status
        view.score = record.metrics.get(self._home[record.key].metric.logged_as)
        view.seconds = time.monotonic() - (view.started or time.monotonic())
        self.outcome.add(record)
        self.outcome.num_evaluated += record.key in self._evaluates
        failed = None if record.status in DONE else record
        training = self._cells[record.key].training
        made = self._trainings.ended(training, record.key, failed)
        end = partial(self._end, record, timestamp, made)
        self._submit(self._keeping_its_run, record.key, end)
        self.view.say_ended(view)

    def _end(self, record: Record, timestamp: int, made: bool = False) -> None:
        self._write_down(record, timestamp)
        encoders, training = self._trainings.encoders, self._cells[record.key].training
        spool, run_id = self.spool(self._cells[record.key]), self._runs[record.key]
        if made and self._trainings.stay:
            self.tracker.log_encoder(run_id, encoders.place(training))
        if encoders.has(training):  # and a worker may have died before it forgot
            spool.forget_training()
        spool.handed_in(done=record.status in DONE)
        self._locks.give_back(record.key)

    def _note_failure(self, record: Record, timestamp: int) -> None:
        self._write_down(record, timestamp)
        del self._runs[record.key]  # the next try opens it again

    def _write_down(self, record: Record, timestamp: int) -> None:
        if record.key not in self._runs:  # failed before it could start
            self._begin(record.key)
        counted = with_flops(record, self._cells[record.key].trial)
        self.tracker.finish_trial(self._runs[record.key], counted, timestamp)

    def trial_lost(self, key: str, status: Status, reason: str) -> None:
        """Record a trial whose process kept dying."""
        cell, plan = self._cells[key], self._home[key]
        record = Record(
            key=key,
            training=cell.training,
            status=status,
            reason=reason,
            seed=cell.seed,
            steps=self.board.trials[key].step,
            num_parameters=plan.num_parameters,
            metrics={},
            data_name=self._data_names[key],
            data_digest=plan.data_digest,
            environment=describe_environment(),
        )
        self.trial_ended(record, int(time.time() * 1_000))

    def ray_lacks(self, loss: str) -> None:
        """Tell people, and so the event log."""
        self.view.say_once(loss)

    def close(self) -> None:
        """Wait for the writes, and end every run that is still open.

        Once the run is to stop, a store that is away is not waited for.

        Raises:
            StoreWriteError: A write failed for good.
        """
        for key, trial in self.board.trials.items():
            if trial.state in ("running", "stopped"):
                self._submit(self._abandon, key)
        trials = self.board.trials.values()
        self.outcome.num_unfinished = sum(trial.unfinished for trial in trials)
        self.outcome.encoder_bytes = self._trainings.num_bytes(
            cell.training for cell in self._cells.values()
        )
        self.outcome.lacking = [t.label for t in trials if t.state == "lacking"]
        status = "KILLED" if self.outcome.num_unfinished else "FINISHED"
        if self.outcome.failed:
            status = "FAILED"
        wanted = {
            self._cells[key].training
            for key, trial in self.board.trials.items()
            if trial.unfinished
        }
        self._submit(self._trainings.tidy, wanted)
        self._submit(self._close, status)
        self._writer.close()

    def _close(self, status: str) -> None:
        for run_id in self._parents.values():
            if not self.tracker.is_deleted(run_id):
                self.tracker.close_study(run_id, status)

    def _abandon(self, key: str) -> None:
        if key in self._runs and not self.tracker.is_deleted(self._runs[key]):
            self.tracker.abandon_trial(self._runs[key])
