"""The runs of studies and trials in the store, as one thread writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ablations.record import Record
from sweeps.driver.planned_trials import PlannedTrials
from sweeps.plan.costing import with_flops
from sweeps.plan.deleted import deleted_note, missing_deleted
from sweeps.plan.planning import make_manifest
from sweeps.tracking.labels import outcome_text
from sweeps.tracking.stores import Stores, answers

if TYPE_CHECKING:
    from sweeps.tracking.tracker import Tracker

Progress = Sequence[tuple[int, int, Mapping[str, float]]]
"""Logged updates: step, milliseconds since 1970, metrics."""


class StoreRuns:
    """Opens, fills and closes the runs; all but :meth:`works` for the writing thread.

    Args:
        trials: The trials of the run.
        open_tracker: Opens the store.
        stores: The places.
        say: Tells people a line.
    """

    def __init__(
        self,
        trials: PlannedTrials,
        open_tracker: Callable[[], Tracker],
        stores: Stores,
        say: Callable[[str], None],
    ) -> None:
        self._trials, self._open_tracker = trials, open_tracker
        self._uri, self._say = stores.tracking_uri, say
        self.parents: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        self._logged_until: dict[str, int] = {}

    @cached_property
    def tracker(self) -> Tracker:
        """The only writer of the store."""
        return self._open_tracker()

    def works(self) -> bool:
        """Whether the store answers and takes what it is given."""
        return answers(self._uri) and self.tracker.works()

    def open_studies(self, make_command: str) -> None:
        """Open the run of every study and give it the plan."""
        for plan in self._trials.plans:
            previous = self.tracker.manifest(plan)
            manifest = make_manifest(plan, make_command, previous)
            self.parents[plan.name] = self.tracker.open_study(plan, manifest)
            if deleted := missing_deleted(plan, self.tracker):
                self._say(deleted_note(plan.name, deleted))

    def close_studies(self, status: str) -> None:
        """End the runs of the studies."""
        for run_id in self.parents.values():
            if not self.tracker.is_deleted(run_id):
                self.tracker.close_study(run_id, status)

    def run_of(self, key: str) -> str:
        """The open run of a trial."""
        return self._runs[key]

    def begin(self, key: str) -> None:
        """Open or continue a trial's run; every study that has it adopts it."""
        if key not in self._runs:  # else its process died and it was started again
            plan, cell = self._trials.home(key), self._trials.cells[key]
            run_id = self.tracker.begin_trial(cell, plan, self.parents[plan.name])
            for other, twin in self._trials.uses(key):
                if other is not plan:
                    self.tracker.adopt(run_id, other, twin.arm.label)
            self._runs[key] = run_id
        self._logged_until[key] = self.tracker.last_step(self._runs[key])

    def log(self, key: str, progress: Progress) -> None:
        """Log what the store does not have yet."""
        if key not in self._logged_until:  # it has ended before anyone heard it start
            self.begin(key)
        until = self._logged_until[key]
        new = [entry for entry in progress if entry[0] > until]
        self.tracker.log_progress(self._runs[key], new)

    def finish(self, record: Record, timestamp: int) -> None:
        """Write a trial's record into its run, and what lies beside it."""
        key = record.key
        if key not in self._runs:  # failed before it could start
            self.begin(key)
        cell = self._trials.cells[key]
        if (picture := self._trials.spool(cell).picture).is_file():
            self.tracker.log_picture(self._runs[key], picture)
        counted = with_flops(record, cell.trial)
        outcome = outcome_text(record, self._trials.home(key).metric)
        self.tracker.finish_trial(self._runs[key], counted, timestamp, outcome)

    def finish_try(self, record: Record, timestamp: int) -> None:
        """Write down that a try failed; the next one opens the run again."""
        self.finish(record, timestamp)
        del self._runs[record.key]

    def abandon(self, key: str) -> None:
        """End the run of a trial that was stopped, if it has one."""
        if key in self._runs and not self.tracker.is_deleted(self._runs[key]):
            self.tracker.abandon_trial(self._runs[key])

    def keeping_the_run(self, key: str, label: str, write: Callable[[], None]) -> None:
        """Write to a trial's run; to a new one, if somebody deleted that one."""
        try:
            write()
        except Exception:  # whatever the store's client raises
            run_id = self._runs.get(key)
            if run_id is None or not self.tracker.is_deleted(run_id):
                raise
            self._say(f"the run of {label} was deleted: it is logged in a new one")
            del self._runs[key]
            self._logged_until.pop(key, None)
            self.begin(key)
            self.log(key, self._trials.spool(self._trials.cells[key]).read_progress())
            write()
