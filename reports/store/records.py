"""One Parquet file of records: everything reports need of some studies, and no store.

A row is a run: the parent run of a study's request (``kind`` is ``study``), or one run
of one of its trials (``trial``). Studies that share a trial have a row each, so that a
study is added, replaced or read without the others. Not in the file, because they name
a store and not a result: ids of runs and experiments, where artifacts lie, users.

What is read of such a file is foreign like a store's content: bounds and types here,
texts through :mod:`reports.store.foreign` as they would from a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ablations.mlflow_names import MANIFEST_ARTIFACT, RECORD_ARTIFACT
from ablations.record import Manifest
from d2v_core.errors import ConfigError, Problem
from d2v_core.files import write_atomically
from reports.statistics.inference import LARGEST
from reports.store.foreign import MAX_BYTES, Origin, usable_metrics, usable_moment
from reports.store.reader import Reader
from reports.store.runs import StoredRun
from reports.text import one_line, quoted

VERSION = 1
"""The schema version; raised when a reader of the one before would misread a file."""
VERSION_KEY = b"d2v.records"
"""In the file's metadata, its value the version: says what kind of file it is."""
MAX_ROWS = 1_000_000
MAX_UNPACKED = 1 << 30
"""Bytes of all columns; the whole file is read."""

_TEXTS = pa.map_(pa.string(), pa.string())
_NUMBERS = pa.map_(pa.string(), pa.float64())
_HISTORY = pa.struct(
    [
        ("metric", pa.string()),
        ("steps", pa.list_(pa.int64())),
        ("values", pa.list_(pa.float64())),
    ]
)
SCHEMA = pa.schema(
    [
        ("study", pa.string()),  # its name
        ("modality", pa.string()),
        ("scale", pa.string()),
        ("request", pa.string()),  # ablations.record.request_id: the same for one --set
        ("kind", pa.string()),  # study, or trial
        ("arm", pa.string()),  # the first arm that has the trial; for people
        ("seed", pa.int64()),  # -1 of a study; for people
        ("key", pa.string()),  # names the trial; empty of a study
        ("run_status", pa.string()),  # MLflow's own; how it ended is the tag d2v.status
        ("started_ms", pa.int64()),  # Unix milliseconds
        ("ended_ms", pa.int64()),  # Unix milliseconds, 0 when unknown
        ("data_digest", pa.string()),
        ("tags", _TEXTS),  # those of ablations/mlflow_names.py that reports look at
        ("metrics", _NUMBERS),  # final ones: eval/, cost/, probe/, the one that counts
        ("histories", pa.list_(_HISTORY)),  # of the curves that reports draw
        ("document", pa.string()),  # JSON: the plan of a study, the record of a trial
    ],
    metadata={VERSION_KEY: str(VERSION).encode()},
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
Row = dict[str, Any]
"""A row, by column."""
Request = tuple[str, str, str, str]
"""Study, modality, scale and request: whose row it is."""


class RecordsReader(Reader):
    """Reads a file of records.

    Args:
        path: The file.
        option: What named it, for messages.

    Raises:
        ConfigError: It cannot be used; says what to do.
    """

    def __init__(self, path: Path, option: str = "--from") -> None:
        self.name = f"the file {path}"
        # Of two runs opened at the same time the later row is the one a report takes,
        # as the larger id would be; so ids keep the order of rows.
        rows = enumerate(read_rows(path, option))
        self._rows = {f"row {number:07d}": row for number, row in rows}

    def parents(self) -> Iterator[tuple[str, StoredRun]]:
        """In the order of the file."""
        for run_id, row in self._rows.items():
            if row["kind"] == "study":
                yield row["study"], _stored(run_id, row)

    def trials(self, manifest: Manifest) -> Iterator[StoredRun]:
        """Trials of this very request."""
        wanted = request_of(manifest)
        for run_id, row in self._rows.items():
            if row["kind"] == "trial" and owner(row) == wanted:
                yield _stored(run_id, row)

    def artifact(self, name: str, origin: Origin) -> str | None:
        """The document, if it is the one that is meant."""
        row = self._rows[origin.run_id]
        kept = MANIFEST_ARTIFACT if row["kind"] == "study" else RECORD_ARTIFACT
        document: str = row["document"]
        return document or None if name == kept else None

    def history(self, run_id: str, metric: str) -> dict[int, float]:
        """As kept; nothing where the file does not have it."""
        for one in self._rows[run_id]["histories"]:
            if one["metric"] == metric:
                points = zip(one["steps"], one["values"], strict=False)
                return {step: v for step, v in points if abs(v) <= LARGEST}
        return {}


def request_of(manifest: Manifest) -> Request:
    """The request that a planned study's rows belong to."""
    name = manifest.study["name"]
    return name, manifest.modality, manifest.scale, manifest.request_id


def owner(row: Mapping[str, Any]) -> Request:
    """The request that a row belongs to."""
    return row["study"], row["modality"], row["scale"], row["request"]


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write a file of records; the same rows are the same bytes.

    Raises:
        OSError: It cannot be written; a file that was there is as it was.
    """
    # A stable order: rows of one trial stay as they come, the oldest first.
    ordered = sorted(rows, key=lambda r: (*owner(r), r["kind"], r["key"]))
    table = pa.Table.from_pylist(ordered, schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=19)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, sink.getvalue().to_pybytes())


def read_rows(path: Path, option: str = "--from") -> list[Row]:
    """The rows of a file of records.

    Raises:
        ConfigError: There is none, it is torn, of something else or of a newer version.
    """

    def refusal(text: str) -> ConfigError:
        return ConfigError([Problem(option, one_line(f"{path} {text}"))])

    if not path.is_file():
        how = "d2v report STUDY --records FILE writes one"
        raise refusal(f"must be an existing file of records, and is none; {how}")
    try:
        # Read before it is parsed: a mapped file that shrinks ends the process.
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        if not content:
            raise refusal(f"must have 1 byte to {MAX_BYTES >> 20} MiB")
        file = pq.ParquetFile(pa.BufferReader(content))
        _check_kind(file, refusal)
        table = file.read()
        table.validate(full=True)
        rows: list[Row] = table.to_pylist(maps_as_pydicts="strict")
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise refusal(
            f"is torn, or no Parquet file ({quoted(str(error), 120)}); get it again "
            "(git checkout), or write it anew with d2v report STUDY --records FILE"
        ) from None
    for number, row in enumerate(rows):
        if (gap := _gap(row)) is not None:
            raise refusal(f"has no value in row {number}, {gap}; get it again")
    return rows


def _check_kind(file: pq.ParquetFile, refusal: Any) -> None:
    """Whether it is a file of records that this version reads, and of what size."""
    version = (file.schema_arrow.metadata or {}).get(VERSION_KEY)
    if version is None:
        raise refusal(
            "is a Parquet file of something else; give one that d2v report STUDY "
            "--records FILE wrote"
        )
    if version != str(VERSION).encode():
        raise refusal(
            f"was written by another version of d2v (format {quoted(version.decode())},"
            f" this one reads {VERSION}); read it with that version, or update this one"
        )
    types = {field.name: field.type for field in file.schema_arrow}
    for field in SCHEMA:
        if types.get(field.name) != field.type:
            got = types.get(field.name, "no such column")
            raise refusal(
                f"must have a column {field.name} of {field.type}, got {got}; "
                "write it anew with d2v report STUDY --records FILE"
            )
    groups = range(file.metadata.num_row_groups)
    unpacked = sum(file.metadata.row_group(i).total_byte_size for i in groups)
    if file.metadata.num_rows > MAX_ROWS or unpacked > MAX_UNPACKED:
        raise refusal(f"must have at most {MAX_ROWS:,} rows in 1 GiB")


def _gap(row: Row) -> str | None:
    """The first place without a value: Parquet may leave any out, we never do."""
    for column in COLUMNS:
        if row[column] is None:
            return column
    for column in ("tags", "metrics"):
        if None in row[column].values():
            return column
    for one in row["histories"]:
        parts = one and (one["metric"], one["steps"], one["values"])
        if not parts or None in parts or None in parts[1] or None in parts[2]:
            return "histories"
    return None


def _stored(run_id: str, row: Row) -> StoredRun:
    return StoredRun(
        run_id=run_id,
        experiment_id="",
        status=row["run_status"],
        started=usable_moment(row["started_ms"]),
        ended=usable_moment(row["ended_ms"]),
        tags=row["tags"],
        metrics=usable_metrics(row["metrics"]),
        data_digest=row["data_digest"],
    )
