"""What runs are called and carry in MLflow: names, tags, notes, parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ablations import mlflow_names as names
from ablations.metrics import Metric
from ablations.record import FailedTry, Record
from d2v_core.config import TrialConfig, leaves
from d2v_core.config.own import SOURCES
from sweeps.environment import code_version, user
from sweeps.planned import PlannedCell, StudyPlan

REASON_LENGTH = 120
"""Characters of a failed try's reason: dozens must fit into a tag."""
OUTCOME = " – outcome: "
"""In a trial's note, before its outcome; no title holds it by chance."""
CODE_LENGTH = 10
"""Characters of a text that MLflow's Compare page draws (3.17 and 3.18). Texts that
begin alike become one mark there, and the marks after it move to wrong places."""


def place_tags(plan: StudyPlan, role: str) -> dict[str, str]:
    """Where a run belongs: study or trial, modality, scale."""
    request = plan.expanded.request
    return {
        names.ROLE_TAG: role,
        names.MODALITY_TAG: request.modality,
        names.SCALE_TAG: request.scale,
    }


def arm_code(label: str, labels: Sequence[str]) -> str:
    """An arm in at most ten characters, ``A03 lr=1x``: its number, then how it begins.

    Numbers have equally many digits, so that sorting the codes gives the study's order.

    Args:
        label: The arm's.
        labels: Those of all arms, in order; a search's trials are not among them.
    """
    if label not in labels:
        return label[:CODE_LENGTH]
    number, digits = labels.index(label) + 1, len(str(len(labels)))
    return f"A{number:0{digits}} {label}"[:CODE_LENGTH].rstrip(" ,;=(")


def code_of(cell: PlannedCell, plan: StudyPlan) -> str:
    """The code of a cell's arm."""
    return arm_code(cell.arm.label, [arm.label for arm in plan.expanded.arms])


def shown_params(cell: PlannedCell, plan: StudyPlan) -> dict[str, Any]:
    """All settings, the arm's code, and the axis values under their short names.

    MLflow's Compare page draws the first parameters that differ, in ASCII order,
    against the first metric: capitals such as ``K``, then ``arm``. The arm's full label
    is a tag, and in the names of runs.
    """
    every = dict(leaves(cell.trial))
    # Without whole files: config.json has them.
    settings = {k: v for k, v in every.items() if not k.startswith(f"{SOURCES}.")}
    return {"arm": code_of(cell, plan), **settings, **cell.arm.values}


def trial_note(cell: PlannedCell, plan: StudyPlan) -> str:
    """Markdown for a trial's page: what it is, and of which study."""
    request, title = plan.expanded.request, plan.expanded.study.title
    settings = ", ".join(f"`{k}={param_text(v)}`" for k, v in cell.arm.settings.items())
    return (
        f"**{cell.arm.label}** (`{code_of(cell, plan)}`), seed {cell.seed}, of "
        f"*{title}* ({request.modality}, scale {request.scale}): "
        f"{settings or 'the recipe as it is'}"
    )


def outcome_text(record: Record, metric: Metric) -> str:
    """How a trial ended, for its page: ``finished, accuracy (%) 61.25``."""
    score = record.metrics.get(metric.logged_as)
    parts = [record.status, "" if score is None else f"{metric.title} {score:.2f}"]
    said = ", ".join(part for part in parts if part)
    return f"{said}: {record.reason[:REASON_LENGTH]}" if record.reason else said


def with_outcome(note: str, outcome: str) -> str:
    """A note that ends with how the trial ended, the last time that it did."""
    before = note.partition(OUTCOME)[0]
    return f"{before}{OUTCOME}{outcome}"[: names.TAG_LENGTH] if outcome else note


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
