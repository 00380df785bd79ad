"""What one trial says when it is over: the contract between ``sweeps`` and ``reports``.

``sweeps`` writes a record to MLflow (``record.json``, metrics, and tags named in
:mod:`ablations.mlflow_names`); ``reports`` reads it back. Neither imports the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ablations.mlflow_names import (
    DRAWS_TAG,
    KEY_TAG,
    NOTES_TAG,
    REASON_TAG,
    SEED_TAG,
    STATUS_TAG,
    TAG_LENGTH,
)
from d2v_core.config import Section

Status = Literal[
    "finished", "collapsed", "diverged", "out_of_memory", "timed_out", "failed"
]
"""How a trial ended. The first two are results; the others are tried again by the next
run: a number stopped being finite, memory ran out, nothing happened for too long, or
anything else went wrong."""
DONE: tuple[Status, ...] = ("finished", "collapsed")


class Record(Section):
    """One finished trial.

    Attributes are stored as ``record.json``; metrics and tags repeat them so that a
    table needs no artifact.
    """

    version: Literal[1] = 1
    """Version of this schema."""
    key: str
    """The trial's key."""
    training: str = ""
    """Key of its training, under which its encoder is kept; empty in records made
    before encoders were."""
    status: Status
    """How it ended."""
    reason: str = ""
    """Why it is not simply finished."""
    seed: int
    """Seed of everything that is random."""
    steps: int
    """Optimiser updates done."""
    num_parameters: int
    """Parameters of the evaluated encoder."""
    metrics: dict[str, float]
    """Final metrics: ``eval/...`` only when done, and ``cost/...``."""
    draws: dict[str, Annotated[tuple[float, ...], Field(strict=False)]] = {}
    """Scores, in per cent, that some metrics are the mean of: one for each labelled
    subset, the same subsets in every arm of a seed."""
    choices: dict[str, float] = {}
    """What the evaluation selected on the validation split."""
    notes: tuple[str, ...] = ()
    """Remarks a reader needs."""
    data_name: str
    """Name of the data, for people."""
    data_digest: str
    """Digest of the data it was trained and evaluated on."""
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
    training: str = ""
    """Key of its training; empty in older stores."""
    schema_version: int = 2
    """Version of identity that the key was made with; 2, or older, where none was
    written down."""


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
    """Version of this schema."""
    study: dict[str, Any]
    """The study as resolved."""
    modality: str
    """Modality."""
    scale: str
    """Scale."""
    assignments: list[str]
    """``--set`` options."""
    recipe: str = ""
    """File of the recipe; empty: the shipped one of modality and scale."""
    metric: str
    """Name of the metric that counts."""
    depth: int
    """Blocks of the encoder."""
    num_parameters: int
    """Parameters of the encoder."""
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
    looks: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(strict=False)] = ()
    """Numbers of seeds at which claims are judged until they are decided, the last one
    the planned end; empty: once, on all seeds there are."""
    data_digest: str
    """Digest of the data."""
    command: str
    """The command that made it."""

    @property
    def outdated(self) -> list[ManifestCell]:
        """Removed cells whose keys are older than those of the table.

        A setting or metric meant something else then, so these are neither former arms
        nor the table's trials.
        """
        current = max((cell.schema_version for cell in self.cells), default=0)
        return [cell for cell in self.removed if cell.schema_version < current]

    @property
    def request_id(self) -> str:
        """Identifies the request that it answers."""
        name = self.study["name"]
        where = (self.modality, self.scale)
        return request_id(name, *where, self.assignments, self.recipe)


OF_RESULTS = frozenset({REASON_TAG, NOTES_TAG, DRAWS_TAG})
"""Tags that a result may lack; older stores have empty ones instead."""


def record_tags(record: Record) -> dict[str, str]:
    """Tags that repeat a record on its run; none is empty."""
    tags = {
        **_draws_tag(record),
        STATUS_TAG: record.status,
        REASON_TAG: record.reason[:TAG_LENGTH],
        NOTES_TAG: "; ".join(record.notes)[:TAG_LENGTH],
        KEY_TAG: record.key,
        SEED_TAG: str(record.seed),
    }
    return {name: value for name, value in tags.items() if value}


def _draws_tag(record: Record) -> dict[str, str]:
    """None where there are no draws, or too many for a tag: the record has them."""
    rounded = {
        name: [round(score, 3) for score in scores]
        for name, scores in record.draws.items()
    }
    text = json.dumps(rounded, separators=(",", ":"))
    return {DRAWS_TAG: text} if rounded and len(text) <= TAG_LENGTH else {}


def request_id(
    study: str,
    modality: str,
    scale: str,
    assignments: Iterable[str],
    recipe: str = "",
) -> str:
    """Identifies a request for a study.

    Seeds are not part of it, nor is where and how fast its trials run.
    """
    settings = sorted(a for a in assignments if not a.startswith("execution."))
    text = json.dumps([study, modality, scale, settings, *([recipe] if recipe else ())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_done(tags: Mapping[str, str]) -> bool:
    """Whether a run's tags say that its trial need not be trained again."""
    return tags.get(STATUS_TAG) in DONE
