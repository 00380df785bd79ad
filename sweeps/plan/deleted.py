"""Trials that somebody deleted in MLflow: trained anew, and never in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeps.planned import StudyPlan

if TYPE_CHECKING:
    from sweeps.tracking.tracker import Tracker

MAX_NAMED = 5
"""Names that a line repeats."""


def missing_deleted(plan: StudyPlan, tracker: Tracker) -> list[str]:
    """Names of planned trials whose run was deleted and that no other run replaces."""
    planned = {cell.key for cell in plan.cells}
    deleted = {k: n for k, n in tracker.deleted_trials(plan).items() if k in planned}
    stored = tracker.trials(deleted)
    return [name for key, name in deleted.items() if key not in stored]


def deleted_note(study: str, deleted: Sequence[str]) -> str:
    """What becomes of trials whose runs somebody deleted."""
    names = ", ".join(deleted[:MAX_NAMED]) + ", …" * (len(deleted) > MAX_NAMED)
    return f"{study}: {len(deleted)} runs were deleted there, trained anew: {names}"
