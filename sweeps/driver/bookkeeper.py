"""Keeps store, board and outcome in step with what the trials say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ablations.record import DONE, Record, Status
from sweeps.driver.outcome import Outcome
from sweeps.driver.planned_trials import PlannedTrials
from sweeps.driver.progress import LiveView
from sweeps.driver.store_runs import Progress, StoreRuns
from sweeps.driver.trainings import TrainingPolicy, Trainings, with_key
from sweeps.environment import describe_environment
from sweeps.listener import Listener
from sweeps.planned import PlannedCell, StudyPlan
from sweeps.stopping import StopRequest
from sweeps.tracking.locks import TrialLocks
from sweeps.tracking.stores import Stores
from sweeps.tracking.writer import StoreWriter
from sweeps.worker.encoders import EncoderStore
from sweeps.worker.job import Job

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
        view: View of the board, which is filled and kept here.
        data_names: Name of the data by key.
        locks: Says which trials and trainings are ours.
        stop: The run's request to stop.
        policy: Whether encoders that are not kept are trained, and stay kept, and of
            which arms.
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
        policy: TrainingPolicy = TrainingPolicy(),  # noqa: B008 (frozen)
    ) -> None:
        self.plans, self.stores = plans, stores
        self._data_names, self._locks, self._stop = data_names, locks, stop
        self._trainings = Trainings(EncoderStore(stores.encoders), locks, policy)
        self.outcome = Outcome()
        self.view, self.board = view, view.board
        self.trials = PlannedTrials(plans, stores.checkpoints)
        self._arms = policy.arms
        self.runs = StoreRuns(self.trials, open_tracker, stores, view.say)
        self._writer = StoreWriter(stores, view.say, stop, self.runs.works)
        self._evaluates: set[str] = set()
        self._to_open: str | None = None

    def open(self, make_command: str) -> None:
        """Put every trial on the board, and open the studies' runs.

        A new store is made once there is something to write: until the first trial has
        started, the processor is better used by the processes that start it.
        """
        for cell in self.trials.cells.values():
            self.board.add(cell, "waiting")
        self._to_open = make_command
        if not self.stores.is_new:
            self._submit_open()

    def _submit(self, do: Callable[..., None], *arguments: object) -> None:
        self._submit_open()
        self._writer.submit(do, *arguments)

    def _submit_open(self) -> None:
        if self._to_open is not None:
            self._writer.submit(self._open_studies, self._to_open)
            self._to_open = None

    def _open_studies(self, make_command: str) -> None:
        self.runs.open_studies(make_command)

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
            elif self._is_left(key):
                self.board.trials[key].state = "left"
                self._locks.give_back(key)
            elif key not in ours:
                self.board.trials[key].state = "elsewhere"
            elif not self._hand_in(key) and self._may_start(key):
                claimed.append(self.trials.cells[key])
        return claimed

    def _is_left(self, key: str) -> bool:
        """Whether this run is about other arms than those that have the trial."""
        uses = self.trials.uses(key)
        return bool(self._arms) and all(c.arm.label not in self._arms for _, c in uses)

    def _may_start(self, key: str) -> bool:
        """Whether a trial can be trained, or evaluated, now; its state on the board."""
        view, cell = self.board.trials[key], self.trials.cells[key]
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
        return self._writer.ask(lambda: self.runs.tracker.trials(keys))

    def job(self, cell: PlannedCell) -> Job:
        """What Ray needs to know of a trial."""
        if evaluates_only := self._trainings.encoders.has(cell.training):
            self._evaluates.add(cell.key)
        return Job(
            cell=cell,
            spool=self.trials.spool(cell),
            encoders=self._trainings.encoders,
            evaluates_only=evaluates_only,
            stop_file=self._stop.file,
            data_name=self._data_names[cell.key],
            data_digest=self.trials.home(cell.key).data_digest,
        )

    def _adopt(self, key: str, stored: StoredTrial) -> None:
        """Take a done trial from the store into every study that has it."""
        metric = self.trials.home(key).metric.logged_as
        view = self.board.trials[key]
        view.state, view.score = "cached", stored.metrics.get(metric)
        self.outcome.num_cached += 1
        for plan, cell in self.trials.uses(key):
            arm, tags = cell.arm.label, stored.tags
            self._submit(self.runs.tracker.adopt, stored.run_id, plan, arm, tags)
        # Files may be left of a driver that died just before it dropped them.
        spool = self.trials.spool(self.trials.cells[key])
        self._submit(lambda: spool.handed_in(done=True))
        self._locks.give_back(key)

    def _hand_in(self, key: str) -> bool:
        """Write down a result that lies in the storage; whether there was one."""
        spool = self.trials.spool(self.trials.cells[key])
        ended = spool.read_record()
        if ended is None:
            return False
        (record, timestamp), history = ended, spool.read_progress()
        if record.status not in DONE:  # tried again, so it must not be found there
            spool.handed_in(done=False)
            self._submit(self.runs.log, key, history)
            self._submit(self.runs.finish_try, record, timestamp)
            return False
        view = self.board.trials[key]
        view.state = "cached"
        view.score = record.metrics.get(self.trials.home(key).metric.logged_as)
        self.outcome.num_cached += 1
        self._submit(self.runs.begin, key)
        self._submit(self.runs.log, key, history)
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
        self._submit_to_run(key, partial(self.runs.begin, key))

    def _submit_to_run(self, key: str, write: Callable[[], None]) -> None:
        """Have something written to a trial's run, even if somebody deletes that."""
        label = self.board.trials[key].label
        self._submit(self.runs.keeping_the_run, key, label, write)

    def said(self, line: str) -> None:
        """Say what a worker says, once for all that say it."""
        self.view.say_once(line)

    def trial_progressed(self, key: str, progress: Progress) -> None:
        """Log metrics that are not in the store yet."""
        view = self.board.trials[key]
        view.step = progress[-1][0]
        for _, _, metrics in progress:
            view.latest = {**view.latest, **metrics}
        self.view.still_there()
        self._submit_to_run(key, partial(self.runs.log, key, progress))

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
        view.score = record.metrics.get(self.trials.home(record.key).metric.logged_as)
        view.seconds = time.monotonic() - (view.started or time.monotonic())
        self.outcome.add(record)
        self.outcome.num_evaluated += record.key in self._evaluates
        failed = None if record.status in DONE else record
        training = self.trials.cells[record.key].training
        made = self._trainings.ended(training, record.key, failed)
        end = partial(self._end, record, timestamp, made)
        self._submit_to_run(record.key, end)
        self.view.say_ended(view)

    def _end(self, record: Record, timestamp: int, made: bool = False) -> None:
        self.runs.finish(record, timestamp)
        cell, encoders = self.trials.cells[record.key], self._trainings.encoders
        if made and self._trainings.stay:
            run_id, place = self.runs.run_of(record.key), encoders.place(cell.training)
            self.runs.tracker.log_encoder(run_id, place)
        spool = self.trials.spool(cell)
        if encoders.has(cell.training):  # a worker may have died before it forgot
            spool.forget_training()
        spool.handed_in(done=record.status in DONE)
        self._locks.give_back(record.key)

    def trial_lost(self, key: str, status: Status, reason: str) -> None:
        """Record a trial whose process kept dying."""
        cell, plan = self.trials.cells[key], self.trials.home(key)
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
                self._submit(self.runs.abandon, key)
        trials = self.board.trials.values()
        self.outcome.num_unfinished = sum(trial.unfinished for trial in trials)
        self.outcome.encoder_bytes = self._trainings.num_bytes(
            cell.training for cell in self.trials.cells.values()
        )
        self.outcome.num_left = self.board.count("left")
        self.outcome.lacking = [t.label for t in trials if t.state == "lacking"]
        status = "KILLED" if self.outcome.num_unfinished else "FINISHED"
        if self.outcome.failed:
            status = "FAILED"
        wanted = {
            self.trials.cells[key].training
            for key, trial in self.board.trials.items()
            if trial.unfinished
        }
        self._submit(self._trainings.tidy, wanted)
        self._submit(self.runs.close_studies, status)
        self._writer.close()
