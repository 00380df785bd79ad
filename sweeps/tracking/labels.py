"""What runs are called and carry in MLflow: names, tags, notes, parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ablations import mlflow_names as names
from ablations.record import FailedTry, Record
from d2v_core.config import TrialConfig, leaves
from d2v_core.config.own import SOURCES
from sweeps.environment import code_version, user
from sweeps.planned import PlannedCell, StudyPlan

REASON_LENGTH = 120
"""Characters of a failed try's reason: dozens must fit into a tag."""


def place_tags(plan: StudyPlan, role: str) -> dict[str, str]:
    """Where a run belongs: study or trial, modality, scale."""
    request = plan.expanded.request
    return {
        names.ROLE_TAG: role,
        names.MODALITY_TAG: request.modality,
        names.SCALE_TAG: request.scale,
    }


def shown_params(cell: PlannedCell) -> dict[str, Any]:
    """All settings, the arm, and the axis values under their short names.

    MLflow's Compare page draws the first parameters that differ, in ASCII order,
    against the first metric: capitals such as ``K``, then ``arm``.
    """
    every = dict(leaves(cell.trial))
    # Without whole files: config.json has them.
    settings = {k: v for k, v in every.items() if not k.startswith(f"{SOURCES}.")}
    return {"arm": cell.arm.label, **settings, **cell.arm.values}


def trial_note(cell: PlannedCell, plan: StudyPlan) -> str:
    """Markdown for a trial's page: what it is, and of which study."""
    request, title = plan.expanded.request, plan.expanded.study.title
    settings = ", ".join(f"`{k}={param_text(v)}`" for k, v in cell.arm.settings.items())
    return (
        f"**{cell.arm.label}**, seed {cell.seed}, of *{title}* ({request.modality}, "
        f"scale {request.scale}): {settings or 'the recipe as it is'}"
    )


def trial_kind(trial: TrialConfig) -> str:
    """What trials of equal cost have in common: objective and length."""
    return f"{trial.objective.kind} {trial.training.num_steps}"


def param_text(value: Any) -> str:
    """A setting as MLflow keeps it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def with_try(known: str | None, record: Record, timestamp: int) -> str:
    """The tag of failed tries with one more; the same one again changes nothing."""
    failed = FailedTry(
        status=record.status,
        reason=record.reason[:REASON_LENGTH],
        seconds=record.metrics.get(names.LOST_METRIC),
        ended=timestamp,
    )
    tries = [FailedTry.model_validate(one) for one in json.loads(known or "[]")]
    if failed.ended not in {one.ended for one in tries}:
        tries.append(failed)
    text = _as_json(tries)
    if len(text) > names.TAG_LENGTH:
        text = _as_json([FailedTry(**{**vars(t), "reason": ""}) for t in tries])
    return text


def _as_json(tries: Sequence[FailedTry]) -> str:
    return json.dumps([one.model_dump(exclude_defaults=True) for one in tries])


def source_tags(command: str) -> dict[str, str]:
    """Tags that say who started a run, with which command and code."""
    version = code_version()
    return {
        names.USER_TAG: user(),
        names.SOURCE_TYPE_TAG: "LOCAL",
        names.COMMAND_TAG: command,
        names.COMMIT_TAG: version.commit,
        names.DIRTY_TAG: str(version.dirty).lower(),
    }
