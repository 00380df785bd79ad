"""A file of records that cannot be used is one message with what to do."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ablations.record import Manifest
from d2v_core.errors import ConfigError
from reports.build import build_all, build_report
from reports.store.foreign import StoreContentError
from reports.store.manifests import find_manifest
from reports.store.records import (
    SCHEMA,
    VERSION_KEY,
    RecordsReader,
    Row,
    read_rows,
    write_rows,
)
from tests.reports.stores import make_manifest


def row_of(manifest: Manifest, **changed: Any) -> Row:
    row = {
        "study": manifest.study["name"],
        "modality": manifest.modality,
        "scale": manifest.scale,
        "request": manifest.request_id,
        "kind": "study",
        "arm": "",
        "seed": -1,
        "key": "",
        "run_status": "FINISHED",
        "started_ms": 1_790_000_000_000,
        "ended_ms": 0,
        "data_digest": "",
        "tags": {"d2v.modality": manifest.modality, "d2v.scale": manifest.scale},
        "metrics": {},
        "histories": [],
        "document": manifest.model_dump_json(),
    }
    return {**row, **changed}


def trial_of(manifest: Manifest, number: int, **changed: Any) -> Row:
    cell = manifest.cells[number]
    row = {
        "kind": "trial",
        "arm": cell.arm,
        "seed": cell.seed,
        "key": cell.key,
        "tags": {"d2v.key": cell.key, "d2v.status": "finished"},
        "metrics": {"eval/linear_accuracy": 60.0 + number},
        "histories": [
            {"metric": "train/loss", "steps": [10, 20], "values": [1.0, 0.5]}
        ],
        "document": "",
    }
    return row_of(manifest, **{**row, **changed})


@pytest.fixture
def manifest() -> Manifest:
    return make_manifest("kept", seeds=1, ks=(1, 2), references=())


@pytest.fixture
def path(manifest: Manifest, tmp_path: Path) -> Path:
    file = tmp_path / "records.parquet"
    write_rows([row_of(manifest), trial_of(manifest, 0), trial_of(manifest, 1)], file)
    return file


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        RecordsReader(path)
    (problem,) = caught.value.problems
    assert problem.path == "--from"
    assert str(path) in problem.message
    assert "\n" not in problem.message
    return problem.message


def test_rows_come_back_as_they_were(path: Path, manifest: Manifest):
    assert read_rows(path)[1] == trial_of(manifest, 0)
    assert pq.read_schema(path).equals(SCHEMA)


def test_what_there_is_not_is_said(tmp_path: Path):
    assert "d2v report STUDY --records FILE writes one" in refused(tmp_path / "no")
    assert "must be an existing file" in refused(tmp_path)
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert "must have 1 byte to" in refused(empty)


def test_a_torn_file_is_named(path: Path, tmp_path: Path):
    content = path.read_bytes()
    torn = tmp_path / "torn.parquet"
    for length in range(1, len(content), max(1, len(content) // 40)):
        torn.write_bytes(content[:length])
        message = refused(torn)
        assert "is torn, or no Parquet file" in message
        assert "git checkout" in message
    torn.write_bytes(b"study,modality\n" * 9)
    assert "is torn, or no Parquet file" in refused(torn)


def test_garbled_bytes_are_a_message_or_a_report(path: Path, tmp_path: Path):
    content = path.read_bytes()
    dice = random.Random(5)
    garbled = tmp_path / "garbled.parquet"
    for _ in range(150):
        bad = bytearray(content)
        for _ in range(dice.randint(1, 4)):
            bad[dice.randrange(len(bad))] = dice.randrange(256)
        garbled.write_bytes(bad)
        with suppress(ConfigError):
            reader = RecordsReader(garbled)
            find_manifest(reader, "kept", "vision", "laptop")


def test_a_file_of_something_else_is_named(tmp_path: Path):
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"study": ["a"]}), other)
    assert "is a Parquet file of something else" in refused(other)


def test_a_newer_file_asks_for_a_newer_version(path: Path):
    table = pq.read_table(path).replace_schema_metadata({VERSION_KEY: b"2"})
    pq.write_table(table, path)
    message = refused(path)
    assert "another version of d2v (format '2', this one reads 1)" in message
    assert "update this one" in message


@pytest.mark.parametrize("column", ["tags", "seed", "document"])
def test_a_column_that_is_missing_or_of_another_type_is_named(path: Path, column: str):
    table = pq.read_table(path)
    pq.write_table(table.drop_columns([column]), path)
    assert f"must have a column {column} of" in refused(path)
    empty = pa.array([None] * len(table), pa.binary())
    pq.write_table(
        table.set_column(table.column_names.index(column), column, empty), path
    )
    assert "got binary" in refused(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("key", None),
        ("metrics", {"eval/linear_accuracy": None}),
        ("histories", [None]),
        ("histories", [{"metric": "m", "steps": [None], "values": [1.0]}]),
    ],
)
def test_a_gap_is_named(path: Path, manifest: Manifest, column: str, value: Any):
    table = pa.Table.from_pylist(
        [row_of(manifest), trial_of(manifest, 0, **{column: value})], schema=SCHEMA
    )
    pq.write_table(table, path)
    assert f"has no value in row 1, {column}" in refused(path)


def test_a_plan_that_is_none_is_a_fault_of_its_row(path: Path, manifest: Manifest):
    write_rows([row_of(manifest, document="{}")], path)
    with pytest.raises(StoreContentError, match=r"run row 0000000, study\.json"):
        find_manifest(RecordsReader(path), "kept", "vision", "laptop")


def test_a_name_that_leads_elsewhere_is_no_folder(
    path: Path, manifest: Manifest, tmp_path: Path
):
    study = {**manifest.study, "name": "../../evil"}
    evil = manifest.model_copy(update={"study": study})
    write_rows([row_of(evil)], path)
    scorecard = build_all(records=RecordsReader(path), folder=tmp_path / "out")
    assert not scorecard.reports
    assert [fault.place[0] for fault in scorecard.claims.faults] == ["../../evil"]


def test_a_study_that_the_file_lacks_is_named_with_those_it_has(path: Path):
    with pytest.raises(ConfigError, match=r"the file .*records\.parquet has no run of"):
        find_manifest(RecordsReader(path), "keptt", "vision", "laptop")


def test_numbers_without_meaning_are_left_out(
    path: Path, manifest: Manifest, tmp_path: Path
):
    wild = {"metric": "train/loss", "steps": [1, 2], "values": [float("nan"), 0.5]}
    metrics = {"eval/linear_accuracy": float("inf")}
    trial = trial_of(manifest, 0, metrics=metrics, histories=[wild])
    write_rows([row_of(manifest), trial, trial_of(manifest, 1)], path)
    report = build_report(
        records=RecordsReader(path),
        study="kept",
        modality="vision",
        scale="laptop",
        folder=tmp_path / "out",
    )
    assert [arm.values for arm in report.result.arms] == [{}, {0: 61.0}]
