"""Keeps a search in step with its trials, which are added one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from rich.console import RenderableType
from rich.table import Table

from ablations import mlflow_names as names
from ablations.record import Record
from ablations.search.path import shown
from sweeps.driver.bookkeeper import Bookkeeper
from sweeps.driver.progress import Board
from sweeps.driver.trial_view import State
from sweeps.planned import PlannedCell, StudyPlan
from sweeps.worker.spool import Spool

if TYPE_CHECKING:
    from sweeps.tracking.reader import StoredTrial

MAX_ROWS = 15


@dataclass
class SearchBoard(Board):
    """The latest trials of a search, with what was tried.

    Attributes:
        num_given_up: Trials that were stopped early in this run.
        num_wanted: Trials of the whole search, those of earlier runs included.
        num_not_asked: Trials that have yet to be suggested.
        tried: What each trial changes, by key.
    """

    num_given_up: int = 0
    num_wanted: int = 0
    num_not_asked: int = 0
    tried: dict[str, str] = field(default_factory=dict)
    best_is: ClassVar[str] = "best"

    def add(self, cell: PlannedCell, state: State, score: float | None = None) -> None:
        """Put a trial on the board."""
        super().add(cell, state, score)
        values = cell.arm.values.items()
        self.tried[cell.key] = ", ".join(f"{k} = {shown(v)}" for k, v in values)

    def counts(self) -> dict[str, int]:
        """How many trials are where."""
        return {**super().counts(), "stopped early": self.num_given_up}

    def num_not_launched(self) -> int:
        """Those too that nobody has suggested yet."""
        return super().num_not_launched() + self.num_not_asked

    def lines(self) -> list[str]:
        """How many of all trials have ended stands first."""
        left = self.num_not_launched() + self.count("running", "elsewhere")
        return [f"{self.num_wanted - left} of {self.num_wanted}", *super().lines()]

    def best_mean(self) -> None:
        """None: a trial of a search has one seed."""

    def tables(self, width: int) -> list[RenderableType]:
        """The latest trials."""
        plan = self.plans[0]
        request = plan.expanded.request
        title = f"{plan.name} · {request.modality} · {request.scale}"
        table = Table(title=title, title_justify="left", caption=plan.metric.title)
        table.add_column("trial", no_wrap=True)
        table.add_column("score", justify="right")
        table.add_column("settings", overflow="fold")
        for key, trial in list(self.trials.items())[-MAX_ROWS:]:
            table.add_row(trial.label, trial.text(), self.tried[key])
        return [table]


class SearchBookkeeper(Bookkeeper):
    """The bookkeeper of a search: every trial is added when it is suggested."""

    board: SearchBoard

    @property
    def plan(self) -> StudyPlan:
        """The search, as the store sees it."""
        return self.plans[0]

    def _open_studies(self, make_command: str) -> None:
        """Open the search's run, and mark it as one."""
        super()._open_studies(make_command)
        parent = self.runs.parents[self.plan.name]
        self.runs.tracker.client.set_tag(parent, names.ROLE_TAG, names.SEARCH_ROLE)

    @cached_property
    def records(self) -> dict[str, Record]:
        """Records of the trials that ended in this run, by key."""
        return {}

    def trial_ended(self, record: Record, timestamp: int) -> None:
        """Keep the record too: the searcher may ask for it."""
        self.records[record.key] = record
        super().trial_ended(record, timestamp)

    @property
    def store_is_away(self) -> bool:
        """Whether a question to the store would have to wait for it."""
        return self._writer.is_away

    def add(self, cell: PlannedCell) -> None:
        """Take in a trial; :meth:`claim` says whose it is."""
        self.trials.add(self.plan, cell)
        self.board.add(cell, "waiting")

    def stored(self, key: str) -> StoredTrial | None:
        """What the store has of a trial, once everything before is written."""
        return self._writer.ask(lambda: self.runs.tracker.find_trial(key))

    def trial_given_up(self, key: str, reason: str) -> None:
        """A trial was stopped early: it has no result, and leaves no checkpoint."""
        trial = self.board.trials.pop(key)
        cell = self.trials.cells[key]
        self._trainings.ended(cell.training, key)
        self.board.num_given_up += 1
        self.view.say(f"{trial.label}: {reason}")
        self.forget(key, self.trials.spool(cell), reason)

    def forget(self, key: str, spool: Spool, reason: str) -> None:
        """Close the run of a trial that was given up, and drop its checkpoint."""
        self._submit(self._forget, key, spool, reason)

    def _forget(self, key: str, spool: Spool, reason: str) -> None:
        known = self.runs.tracker.find_trial(key)
        if known is not None and not known.done:
            self.runs.tracker.client.set_tag(known.run_id, names.REASON_TAG, reason)
            self.runs.tracker.abandon_trial(known.run_id)
        spool.forget_training()
        spool.handed_in(done=True)
        self._locks.give_back(key)

    def attach(self, file_name: str, text: str) -> None:
        """Put a file beside the search's run."""
        self._submit(self._attach, file_name, text)

    def _attach(self, file_name: str, text: str) -> None:
        run_id = self.runs.parents[self.plan.name]
        self.runs.tracker.client.log_text(run_id, text, file_name)
