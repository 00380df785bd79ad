"""Keeps store, board and outcome in step with what the trials say."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from rich.console import Console

from ablations.record import Record
from sweeps.environment import describe_environment
from sweeps.planning import PlannedCell, StudyPlan, make_manifest, unique_trials
from sweeps.progress import Board, LiveView, duration
from sweeps.stores import Stores
from sweeps.tracker import StoredTrial, Tracker, checkpoint_of


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        num_cached: Trials found in the store by key.
        trained: Records of the trials that ran.
        interrupted: Whether it was stopped before the end.
        seconds: Wall-clock.
    """

    num_cached: int = 0
    trained: list[Record] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0

    def sentence(self) -> str:
        """What happened, for people."""
        if not self.trained and not self.interrupted:
            return (
                f"nothing to train: all {self.num_cached} trials were found in the "
                "store by key"
            )
        counts = Counter(record.status for record in self.trained)
        ended = ", ".join(f"{count} {status}" for status, count in counts.items())
        stopped = "stopped before the end: " if self.interrupted else ""
        return (
            f"{stopped}{len(self.trained)} trials trained"
            f"{f' ({ended})' * bool(ended)}, {self.num_cached} cached, "
            f"in {duration(self.seconds)}"
        )

    @property
    def failed(self) -> list[Record]:
        """Records of failed trials."""
        return [record for record in self.trained if record.status == "failed"]


class Books:
    """Keeps store, board and outcome in step with what the trials say.

    Store writes happen in order on one background thread, so that they never hold up
    the event loop that feeds the workers.
    """

    def __init__(
        self,
        plans: Sequence[StudyPlan],
        tracker: Tracker,
        stores: Stores,
        console: Console,
        data_names: Mapping[str, str],
    ) -> None:
        self.plans, self.tracker, self.stores = plans, tracker, stores
        self._data_names = data_names
        self.outcome = Outcome()
        self.board = Board(plans, num_workers=os.cpu_count() or 1)
        self.view = LiveView(self.board, console)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="tracker")
        self._stored = tracker.trials()
        self._cells = unique_trials(plans)
        self._home = {c.key: plan for plan in reversed(plans) for c in plan.cells}
        self._parents: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        self._logged_until: dict[str, int] = {}
        self._failures: list[BaseException] = []

    def missing(self) -> dict[str, tuple[PlannedCell, str]]:
        """Trials to train by key, with the digest of their data, in order."""
        return {
            key: (cell, self._home[key].data_digest)
            for key, cell in self._cells.items()
            if not (key in self._stored and self._stored[key].done)
        }

    def open(self, make_command: str) -> None:
        """Open the studies' runs and adopt what the store already has."""
        for plan in self.plans:
            manifest = make_manifest(plan, make_command)
            self._parents[plan.name] = self.tracker.open_study(plan, manifest)
            for cell in plan.cells:
                stored = self._stored.get(cell.key)
                if stored is not None and stored.done:
                    self._adopt(cell, plan, stored)
        for cell, _ in self.missing().values():
            self.board.add(cell, "waiting")
        self.outcome.num_cached = self.board.count("cached")

    def _adopt(self, cell: PlannedCell, plan: StudyPlan, stored: StoredTrial) -> None:
        score = stored.metrics.get(plan.metric.logged_as)
        self.board.add(cell, "cached", score)
        self.tracker.adopt(stored.run_id, plan, cell.arm.label)

    def trial_started(self, key: str, step: int, num_steps: int) -> None:
        """Open or continue the trial's run."""
        view = self.board.trials[key]
        view.state, view.started = "running", time.monotonic()
        view.step = view.first_step = step
        view.num_steps = num_steps
        self._write(self._begin, key)

    def _begin(self, key: str) -> None:
        if key in self._runs:  # its process died and it was started again
            run_id = self._runs[key]
        else:
            plan, cell = self._home[key], self._cells[key]
            run_id = self._runs[key] = self.tracker.begin_trial(
                cell, plan, self._parents[plan.name], self._stored.get(key)
            )
            for other in self.plans:
                for twin in other.cells:
                    if twin.key == key and other is not plan:
                        self.tracker.adopt(run_id, other, twin.arm.label)
        self._logged_until[key] = self.tracker.last_step(run_id)

    def trial_progressed(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        """Log metrics that are not in the store yet."""
        self.board.trials[key].step = progress[-1][0]
        self._write(self._log, key, progress)

    def _log(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        until = self._logged_until[key]
        new = [entry for entry in progress if entry[0] > until]
        self.tracker.log_progress(self._runs[key], new)

    def trial_ended(self, record: Record, timestamp: int) -> None:
        """Write the record and forget the checkpoint of a trial that is done."""
        view = self.board.trials[record.key]
        if view.state in ("finished", "collapsed", "failed"):
            return  # Tune repeats the last report when a trial completes
        view.state = record.status
        view.score = record.metrics.get(self._home[record.key].metric.logged_as)
        view.seconds = time.monotonic() - (view.started or time.monotonic())
        self.outcome.trained.append(record)
        self._write(self._end, record, timestamp)
        self.view.say_ended(view)

    def _end(self, record: Record, timestamp: int) -> None:
        if record.key not in self._runs:  # failed before it could start
            self._begin(record.key)
        self.tracker.finish_trial(self._runs[record.key], record, timestamp)
        if record.status != "failed":
            folder = checkpoint_of(self.stores, record.key).parent
            shutil.rmtree(folder, ignore_errors=True)

    def trial_lost(self, key: str, reason: str) -> None:
        """Record a trial whose process kept dying."""
        cell, plan = self._cells[key], self._home[key]
        record = Record(
            key=key,
            status="failed",
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

    def close(self) -> None:
        """Wait for the writes, and end every run that is still open.

        Raises:
            BaseException: The first failure to write, if there was one.
        """
        self._writer.shutdown(wait=True)
        running = [
            k for k, trial in self.board.trials.items() if trial.state == "running"
        ]
        for key in running:
            if key in self._runs:
                self.tracker.abandon_trial(self._runs[key])
        unfinished = bool(self.board.count("waiting", "running"))
        self.outcome.interrupted |= unfinished
        status = "KILLED" if unfinished else "FINISHED"
        if self.outcome.failed:
            status = "FAILED"
        for run_id in self._parents.values():
            self.tracker.close_study(run_id, status)
        if self._failures:
            raise self._failures[0]

    def _write(self, write: Callable[..., None], *arguments: object) -> None:
        """Queue a write to the store; its failure is raised by :meth:`close`."""
        future = self._writer.submit(write, *arguments)
        future.add_done_callback(self._keep_failure)

    def _keep_failure(self, future: Future[None]) -> None:
        if error := future.exception():
            self._failures.append(error)
