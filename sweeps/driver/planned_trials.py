"""The trials of a run by key: which studies have them, and where their files lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from sweeps.plan.planning import unique_trials
from sweeps.planned import PlannedCell, StudyPlan
from sweeps.worker.spool import Spool


class PlannedTrials:
    """Every trial of some studies, each once.

    Args:
        plans: The studies; the first that has a trial is where it is logged.
        checkpoints: Folder of the files of trials.
    """

    def __init__(self, plans: Sequence[StudyPlan], checkpoints: Path) -> None:
        self.plans, self._folder = plans, checkpoints
        self.cells = unique_trials(plans)
        self._uses = defaultdict[str, list[tuple[StudyPlan, PlannedCell]]](list)
        for plan in plans:
            for cell in plan.cells:
                self._uses[cell.key].append((plan, cell))

    def add(self, plan: StudyPlan, cell: PlannedCell) -> None:
        """Take in a trial that a search suggested."""
        self.cells[cell.key] = cell
        self._uses[cell.key] = [(plan, cell)]

    def home(self, key: str) -> StudyPlan:
        """The study in which a trial is logged."""
        return self._uses[key][0][0]

    def uses(self, key: str) -> Sequence[tuple[StudyPlan, PlannedCell]]:
        """Where a trial stands in the studies, its home first."""
        return self._uses[key]

    def spool(self, cell: PlannedCell) -> Spool:
        """The files of a trial."""
        return self.spool_of(cell.key, cell.training)

    def spool_of(self, key: str, training: str) -> Spool:
        """The same from its keys."""
        return Spool(self._folder / key, self._folder / training)
