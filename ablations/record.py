"""What one trial says when it is over: the contract between ``sweeps`` and ``reports``.

``sweeps`` writes a record to MLflow (``record.json``, the metrics, the tags below);
``reports`` reads it back. Neither imports the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from d2v_core.config import Section

Status = Literal[
    "finished", "collapsed", "diverged", "out_of_memory", "timed_out", "failed"
]
"""How a trial ended. The first two are results; the others are tried again by the next
run: a number stopped being finite, memory ran out, nothing happened for too long, or
anything else went wrong."""
DONE: tuple[Status, ...] = ("finished", "collapsed")

CONFIG_ARTIFACT = "config.json"
RECORD_ARTIFACT = "record.json"
MANIFEST_ARTIFACT = "study.json"

KEY_TAG = "d2v.key"
STATUS_TAG = "d2v.status"
REASON_TAG = "d2v.reason"
NOTES_TAG = "d2v.notes"
TRIES_TAG = "d2v.failed_tries"
"""On a trial: its tries without a result, as a JSON list of :class:`FailedTry`, oldest
first; the last one too, if there is no result yet."""
SEED_TAG = "d2v.seed"
ARM_TAG = "d2v.arm"
MODALITY_TAG = "d2v.modality"
SCALE_TAG = "d2v.scale"
KIND_TAG = "d2v.kind"
ROLE_TAG = "d2v.role"
"""``study`` on the parent run, ``trial`` on its children."""
STUDY_TAG_PREFIX = "d2v.study."
"""``d2v.study.<name>`` = arm, on every trial a study uses."""
OPENED_TAG = "d2v.opened"
"""On a parent run: unix milliseconds of the last ``d2v run`` of its request."""
REQUEST_TAG = "d2v.request"
"""On a parent run: which request (study, modality, scale, settings) it answers; see
:func:`request_id`. With a dot and that id: on the trials of its table (see
:func:`request_tag`)."""
LOST_METRIC = "cost/lost_seconds"
"""Of a record without a result: training time since the last checkpoint."""
FLOPS_METRIC = "cost/flops"
"""Operations of a trial's updates, counted beforehand; evaluation comes on top."""


class Record(Section):
    """One finished trial.

    Attributes are stored as ``record.json``; metrics and tags repeat them so that a
    table needs no artifact.
    """

    version: Literal[1] = 1
    """Of this schema."""
    key: str
    """The trial's key."""
    status: Status
    """How it ended."""
    reason: str = ""
    """Why it is not simply finished."""
    seed: int
    """Of everything that is random."""
    steps: int
    """Optimiser updates done."""
    num_parameters: int
    """Of the evaluated encoder."""
    metrics: dict[str, float]
    """Final metrics: ``eval/...`` only when done, and ``cost/...``."""
    choices: dict[str, float] = {}
    """What the evaluation selected on the validation split."""
    notes: tuple[str, ...] = ()
    """Remarks a reader needs."""
    data_name: str
    """For people."""
    data_digest: str
    """Of the data it was trained and evaluated on."""
    data_inventory: dict[str, Any] = {}
    """What was found of that data, what was used, left out and why, and what should be
    looked at; empty in records of failures before training, and in older ones."""
    environment: dict[str, str]
    """Versions, processor, device, code version."""


class FailedTry(Section):
    """One try at a trial that ended without a result."""

    status: Status
    """How it ended."""
    reason: str
    """Why."""
    seconds: float | None = None
    """Training time lost with it, since its last checkpoint, if that is known."""
    ended: int = 0
    """Unix milliseconds; tells tries apart."""


class ManifestCell(Section):
    """Where one trial stands in a table."""

    arm: str
    """Arm label."""
    seed: int
    """Seed."""
    key: str
    """The trial."""


class ManifestArm(Section):
    """One row of a table."""

    label: str
    """Row name."""
    settings: dict[str, Any]
    """What it changes on the base configuration."""
    is_reference: bool
    """Untrained or supervised."""
    value: str | int | float | bool | None
    """The axis value, if any."""
    paper: dict[str, Any] | None
    """The paper's number beside it (value, at, source, tolerance)."""


class Manifest(Section):
    """A planned study, as ``study.json`` on its parent run.

    With it a report needs nothing but the tracking store.
    """

    version: Literal[1] = 1
    """Of this schema."""
    study: dict[str, Any]
    """The study as resolved."""
    modality: str
    """Modality."""
    scale: str
    """Scale."""
    assignments: list[str]
    """``--set`` options."""
    metric: str
    """Name of the metric that counts."""
    depth: int
    """Blocks of the encoder."""
    num_parameters: int
    """Of the encoder."""
    base: dict[str, Any]
    """The configuration without arms."""
    paper_diff: list[Annotated[tuple[str, Any, Any], Field(strict=False)]]
    """Settings where the base differs from the paper's recipe: path, ours, theirs."""
    arms: list[ManifestArm]
    """Rows."""
    cells: list[ManifestCell]
    """Every arm with every seed."""
    removed: list[ManifestCell] = []
    """Cells of earlier runs of this request that its table no longer has; their trials
    stay in the store."""
    data_digest: str
    """Of the data."""
    command: str
    """The command that made it."""

    @property
    def request_id(self) -> str:
        """Of the request that it answers."""
        name = self.study["name"]
        return request_id(name, self.modality, self.scale, self.assignments)


TAG_LENGTH = 5_000
"""Characters of a tag that every MLflow backend takes."""


def record_tags(record: Record) -> dict[str, str]:
    """Tags that repeat a record on its run."""
    return {
        STATUS_TAG: record.status,
        REASON_TAG: record.reason[:TAG_LENGTH],
        NOTES_TAG: "; ".join(record.notes)[:TAG_LENGTH],
        KEY_TAG: record.key,
        SEED_TAG: str(record.seed),
    }


def study_tag(study: str) -> str:
    """The tag that says which arm of a study a trial is."""
    return f"{STUDY_TAG_PREFIX}{study}"


def request_id(
    study: str, modality: str, scale: str, assignments: Iterable[str]
) -> str:
    """Identifies a request for a study; seeds and places are not part of it."""
    text = json.dumps([study, modality, scale, sorted(assignments)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def request_tag(request: str) -> str:
    """The tag, its value the arm, on the trials that a request's table has now."""
    return f"{REQUEST_TAG}.{request}"


def is_done(tags: Mapping[str, str]) -> bool:
    """Whether a run's tags say that its trial need not be trained again."""
    return tags.get(STATUS_TAG) in DONE
