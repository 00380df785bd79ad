"""Writes what reports read of some studies into a file of records.

The reports are made once while an intermediary notes what they ask for, so that the
file has what they need and nothing else (:mod:`reports.store.records`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ablations.metrics import manifest_metric
from ablations.mlflow_names import (
    COMMAND_TAG,
    COMMIT_TAG,
    DIRTY_TAG,
    DRAWS_TAG,
    KEY_TAG,
    MANIFEST_ARTIFACT,
    MODALITY_TAG,
    NOTES_TAG,
    OPENED_TAG,
    REASON_TAG,
    RECORD_ARTIFACT,
    REQUEST_TAG,
    ROLE_TAG,
    SCALE_TAG,
    SEED_TAG,
    STATUS_TAG,
    TRAINING_TAG,
    TRIES_TAG,
)
from ablations.record import Manifest, ManifestCell
from ablations.redaction import redacted
from reports.build import gather
from reports.files import ReportWriteError
from reports.store.foreign import Origin, parse
from reports.store.frames import (
    FINAL_PREFIXES,
    HEALTH_METRICS,
    PROBED,
    RECORD,
    place_of,
)
from reports.store.manifests import PlannedStudy
from reports.store.reader import Reader, Source, reader_of
from reports.store.records import Row, owner, read_rows, request_of, write_rows
from reports.store.runs import StoredRun
from reports.tables.wording import counted

KEPT_TAGS = (
    *(ROLE_TAG, KEY_TAG, TRAINING_TAG, SEED_TAG, STATUS_TAG, REASON_TAG, NOTES_TAG),
    *(DRAWS_TAG, TRIES_TAG, OPENED_TAG, REQUEST_TAG, MODALITY_TAG, SCALE_TAG),
    *(COMMIT_TAG, DIRTY_TAG, COMMAND_TAG),
)
"""Tags that count; others name users, parents and places of one store."""
KEPT_METRICS = (*FINAL_PREFIXES, PROBED, *HEALTH_METRICS)
"""Beginnings of final metrics that are kept, beside the one that counts."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: The file.
        added: Studies that it did not have.
        replaced: Studies that it had.
        others: Studies that it keeps as they were.
        num_trials: Runs of trials in all.
        num_bytes: The file's size.
    """

    path: Path
    added: int
    replaced: int
    others: int
    num_trials: int
    num_bytes: int

    def sentence(self) -> str:
        """For the terminal."""
        return (
            f"studies: {self.added} added, {self.replaced} replaced, {self.others} as "
            f"they were; {counted(self.num_trials, 'trial')}, {self.num_bytes:,} bytes"
        )


def export_records(
    source: Source, studies: Iterable[PlannedStudy], path: Path, option: str
) -> Exported:
    """Add studies to a file of records, made if need be, or replace them in it.

    Args:
        source: Where they are read.
        studies: All the others of the file stay.
        path: The file.
        option: What named it, for messages.

    Raises:
        ConfigError: There is a file that cannot be used, or a study cannot be read.
        ReportWriteError: The disk is full, or the folder cannot be written.
    """
    before = read_rows(path, option) if path.exists() else []
    new = [row for planned in studies for row in study_rows(source, planned)]
    fresh = {owner(row) for row in new}
    old = {owner(row) for row in before}
    rows = [row for row in before if owner(row) not in fresh] + new
    try:
        write_rows(rows, path)
        num_bytes = path.stat().st_size
    except OSError as error:
        why = error.strerror or str(error)
        raise ReportWriteError(
            f"the records cannot be written to {path} ({why}); a file that is there is "
            "as it was"
        ) from error
    return Exported(
        path=path,
        added=len(fresh - old),
        replaced=len(fresh & old),
        others=len(old - fresh),
        num_trials=sum(row["kind"] == "trial" for row in rows),
        num_bytes=num_bytes,
    )


def study_rows(source: Source, planned: PlannedStudy) -> list[Row]:
    """The rows of one study, the runs of a trial with the oldest first.

    Raises:
        StoreContentError: Something of it cannot be read.
    """
    manifest = planned.manifest
    noting = _Noting(reader_of(source))
    gather(noting, planned, "")
    place = place_of(manifest)
    cells: dict[str, ManifestCell] = {}
    for cell in (*manifest.cells, *manifest.removed):
        cells.setdefault(cell.key, cell)
    parent = next(run for _, run in noting.parents() if run.run_id == planned.run_id)
    text = noting.artifact(MANIFEST_ARTIFACT, Origin(place, planned.run_id))
    rows = [_row(parent, manifest, "study", "", -1, "", document=text or "")]
    # By id: of two that were opened at once the larger one counts (sorted_by_age).
    for run in sorted(noting.runs, key=lambda run: run.run_id):
        key = run.tags.get(KEY_TAG, "")
        if key not in cells:
            continue
        origin = Origin(place, run.run_id)
        record = noting.artifact(RECORD_ARTIFACT, origin) or ""
        if record:
            parse(RECORD, record, origin, RECORD_ARTIFACT)
        rows.append(
            _row(
                run,
                manifest,
                "trial",
                cells[key].arm,
                cells[key].seed,
                key,
                document=record,
                histories=noting.histories[run.run_id],
            )
        )
    return rows


class _Noting(Reader):
    """Passes questions on, and notes what a report of one study was told."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self.name = inner.name
        self.runs: list[StoredRun] = []
        self.histories: dict[str, dict[str, dict[int, float]]] = defaultdict(dict)

    def parents(self) -> Iterator[tuple[str, StoredRun]]:
        return self._inner.parents()

    def trials(self, manifest: Manifest) -> Iterator[StoredRun]:
        self.runs = list(self._inner.trials(manifest))
        return iter(self.runs)

    def artifact(self, name: str, origin: Origin) -> str | None:
        return self._inner.artifact(name, origin)

    def history(self, run_id: str, metric: str) -> dict[int, float]:
        answer = self._inner.history(run_id, metric)
        if answer:
            self.histories[run_id][metric] = answer
        return answer


def _row(
    run: StoredRun,
    manifest: Manifest,
    kind: str,
    arm: str,
    seed: int,
    key: str,
    *,
    document: str,
    histories: Mapping[str, Mapping[int, float]] | None = None,
) -> Row:
    study, modality, scale, request = request_of(manifest)
    counts = manifest_metric(manifest).logged_as
    return {
        "study": study,
        "modality": modality,
        "scale": scale,
        "request": request,
        "kind": kind,
        "arm": _public(arm),
        "seed": seed,
        "key": key,
        "run_status": run.status,
        "started_ms": run.started,
        "ended_ms": run.ended,
        "data_digest": run.data_digest,
        "tags": {
            name: _public_json(run.tags[name])
            for name in sorted(KEPT_TAGS)
            if name in run.tags
        },
        "metrics": {
            name: value
            for name, value in sorted(run.metrics.items())
            if name == counts or name.startswith(KEPT_METRICS)
        },
        "histories": [
            {"metric": metric, "steps": list(points), "values": list(points.values())}
            for metric, points in sorted((histories or {}).items())
        ],
        "document": _public_json(document),
    }


_public = cache(redacted)
"""Texts of a store repeat; the file may become public, so no password stays in it."""


def _public_json(text: str) -> str:
    """A text without passwords; of JSON each text inside, so that it stays JSON."""
    if not text.startswith(("{", "[")):
        return _public(text)
    try:
        value = json.loads(text)
    except ValueError:
        return _public(text)
    clean = _public_value(value)
    return text if clean == value else json.dumps(clean, ensure_ascii=False)


def _public_value(value: Any) -> Any:
    if isinstance(value, str):
        return _public(value)
    if isinstance(value, list):
        return [_public_value(one) for one in value]
    if isinstance(value, dict):
        return {key: _public_value(one) for key, one in value.items()}
    return value
