"""One rotten thing in a store: named with its fault, and the rest reported."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ablations.mlflow_names import (
    DRAWS_TAG,
    MANIFEST_ARTIFACT,
    OPENED_TAG,
    RECORD_ARTIFACT,
    STATUS_TAG,
    TRIES_TAG,
)
from ablations.record import Manifest
from d2v_cli.app import app
from reports.build import Scorecard, build_all, gather
from reports.claims.scorecard import AllClaims
from reports.claims.scorecard_formats import scorecard_console
from reports.page.report_page import render_page
from reports.store.foreign import StoreContentError
from reports.store.manifests import PlannedStudy, all_manifests, find_manifest
from reports.tables.formats import table_csv, to_markdown, trials_csv
from reports.tables.latex import to_latex
from reports.tables.ledger import ledger_json, ledger_markdown
from tests.reports.stores import Store, make_manifest, make_store

Mutation = Callable[["Rotten"], None]
PLACE = ("vision", "laptop")


@dataclass
class Rotten:
    """A study of the store that is to be made rotten."""

    store: Store
    manifest: Manifest
    run_id: str
    trials: list[str]

    def write(self, name: str, text: str, run_id: str | None = None) -> None:
        self.store.client.log_text(run_id or self.run_id, text, name)

    def edit(self, **fields: Any) -> None:
        self.write(
            MANIFEST_ARTIFACT,
            json.dumps({**json.loads(self.manifest.model_dump_json()), **fields}),
        )

    def edit_study(self, **fields: Any) -> None:
        self.edit(study={**self.manifest.study, **fields})

    def tag(self, name: str, value: str) -> None:
        self.store.client.set_tag(self.trials[0], name, value)


def fill(store: Store, name: str) -> Rotten:
    manifest = make_manifest(name, ks=(1, 4), references=(), seeds=1)
    run_id = store.study(manifest)
    trials = [
        store.trial(
            manifest,
            cell.arm,
            cell.seed,
            50.0 + number,
            environment={"python": "3"},
            curves={"train/loss": [1.0, 0.5]},
        )
        for number, cell in enumerate(manifest.cells)
    ]
    return Rotten(store, manifest, run_id, trials)


NAMED: dict[str, tuple[Mutation, str]] = {
    "newer": (lambda r: r.edit(version=2), "written by another version of d2v"),
    "cut": (
        lambda r: r.write(MANIFEST_ARTIFACT, r.manifest.model_dump_json()[:300]),
        "study.json: is cut short or no JSON",
    ),
    "modality": (lambda r: r.edit(modality="video"), "modality: Input should be"),
    "metric": (lambda r: r.edit(metric="new"), "metric: must be one of linear_acc"),
    "no_cells": (lambda r: r.edit(cells=[]), "cells: List should have at least 1"),
    "looks": (lambda r: r.edit(looks=[12, 8]), "looks: must be growing numbers"),
    "no_arms": (lambda r: r.edit(arms=[]), "arms: List should have at least 1"),
    "claim": (
        lambda r: r.edit_study(
            claims=[{"id": "c", "says": "x", "test": {"kind": "new"}}]
        ),
        "study.claims.0.test",
    ),
    "escaped": (lambda r: r.edit_study(name="../../../escaped"), "study.name"),
    "renamed": (lambda r: r.edit_study(name="good"), "must be the plan of its experi"),
    "twice": (
        lambda r: r.edit(arms=[json.loads(r.manifest.arms[0].model_dump_json())] * 2),
        "arms: must differ, 'K=1' is there 2 times",
    ),
    "status": (
        lambda r: r.tag(STATUS_TAG, "paused"),
        "tag d2v.status: must be one of finished, collapsed",
    ),
    "tries": (lambda r: r.tag(TRIES_TAG, "{x"), "tag d2v.failed_tries: is cut short"),
    "draws": (
        lambda r: r.tag(DRAWS_TAG, '{"eval/linear_accuracy": ["a"]}'),
        "tag d2v.draws: eval/linear_accuracy.0: Input should be a valid number",
    ),
    "opened": (
        lambda r: r.store.client.set_tag(r.run_id, OPENED_TAG, "soon"),
        "tag d2v.opened: must be Unix milliseconds, got 'soon'",
    ),
    "record": (
        lambda r: r.write(RECORD_ARTIFACT, '{"version": 2}', r.trials[0]),
        "record.json: was written by another version of d2v (format 2",
    ),
}
"""How a study is made rotten, and what its fault says; each a study of the store."""
HARMLESS: dict[str, Mutation] = {
    "huge": lambda r: r.store.client.log_metric(
        r.trials[0], "eval/linear_accuracy", 1e308
    ),
    "deleted": lambda r: r.store.client.delete_run(r.trials[0]),
    "good": lambda r: None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rotten")


@pytest.fixture(scope="module")
def rotten(folder: Path) -> Store:
    store = make_store(folder)
    for name, mutate in HARMLESS.items():
        mutate(fill(store, name))
    for name, (mutate, _) in NAMED.items():
        mutate(fill(store, name))
    return store


@pytest.fixture(scope="module")
def scorecard(rotten: Store, folder: Path) -> Scorecard:
    return build_all(tracking_uri=rotten.uri, folder=folder / "a" / "reports")


def test_every_rotten_study_is_named_and_the_others_are_reported(scorecard, folder):
    reported = [report.manifest.study["name"] for report in scorecard.reports]
    assert reported == sorted(HARMLESS)
    found = {fault.place[0]: fault for fault in scorecard.claims.faults}
    assert found.keys() == NAMED.keys()
    for name, (_, message) in NAMED.items():
        fault = found[name]
        assert message in fault.message, fault
        assert fault.message.startswith("run "), fault
        assert fault.place == (name, *PLACE)
        assert not fault.is_ours, fault
    assert all(report.files["report.html"].exists() for report in scorecard.reports)
    written = {path.name for path in (folder / "a" / "reports").iterdir()}
    assert written == {
        *(f"{name}-vision-laptop" for name in HARMLESS),
        *("claims.json", "scorecard.md", "scorecard.csv", "scorecard.html"),
    }
    assert {path.name for path in folder.iterdir()} == {"mlflow.db", "artifacts", "a"}


def test_the_scorecard_names_them_in_every_format(scorecard: Scorecard):
    texts = [path.read_text(encoding="utf-8") for path in scorecard.files.values()]
    for name in NAMED:
        assert all(name in text.replace("\\_", "_") for text in texts), name
    assert "16 study runs could not be reported" in texts[0]
    assert texts[1].count("not reported") == len(NAMED)
    assert scorecard_console(AllClaims((), faults=scorecard.claims.faults))


def test_the_command_ends_with_one_and_one_rotten_study_with_two(rotten, folder):
    run = CliRunner().invoke
    options = ["--tracking-uri", rotten.uri, "--storage", str(folder / "cli")]
    done = run(app, ["report", "--all", "--modality", "vision", *options])
    assert done.exit_code == 1, done.output
    assert "Not reported: study cut (vision, laptop): run" in done.output
    assert (folder / "cli" / "reports" / "scorecard.html").exists()
    done = run(app, ["report", "cut", "--scale", "laptop", *options])
    assert isinstance(done.exception, StoreContentError)  # main: exit code 2
    assert "study.json: is cut short" in str(done.exception)
    assert "\n" not in str(done.exception)


# Many more, made at random: what is left is a report or a named fault.

NASTY: list[Any] = [
    *(None, True, -1, 0, 2**70, 1e308, float("nan"), float("inf"), "", [], {}, [[]]),
    *("x" * 20_000, "../../x", "\x1b[31mred", "=1+1", "\u202egnp.exe", "9" * 5_000),
    *({"a": 1}, [None], "vision", "0", "٣", "fraction_of_depth", "untrained", "K=1"),
]
TABLES = ("runs", "tags", "metrics", "latest_metrics")


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with a key of it, all the way down."""
    items: list[tuple[Any, Any]] = []
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    for key, value in items:
        yield data, key
        yield from places(value)


def garbled(text: str, dice: random.Random) -> str | bytes:
    """JSON that was cut, changed, or written by somebody else."""
    kind = dice.randrange(6)
    if kind == 0:
        return text[: dice.randrange(len(text))]
    if kind == 1:
        return dice.choice([b"\xff\xfe\x00", b"", b"null", b"[" * 3_000, b"[]", b"7"])
    data = json.loads(text)
    for _ in range(dice.choice([1, 1, 3])):
        holder, key = dice.choice(list(places(data)))
        if dice.random() < 0.3:
            del holder[key]
        else:
            holder[key] = dice.choice(NASTY)
        if not data:
            break
    return json.dumps(data)


class Mutable:
    """A store whose study ``rotten`` can be changed at random and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = make_store(folder)
        self.good = fill(self.store, "beside")
        self.study = fill(self.store, "rotten")
        self.store.client.set_tag(self.study.run_id, OPENED_TAG, "1790000000000")
        self.artifacts = {
            path: path.read_bytes()
            for path in folder.rglob("*.json")
            if path.parent.parent.name in (self.study.run_id, self.study.trials[0])
        }
        with self.database() as database:
            self.rows = {
                table: database.execute(f"select * from {table}").fetchall()
                for table in TABLES
            }

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.folder / "mlflow.db", timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def restore(self) -> None:
        for path, content in self.artifacts.items():
            path.write_bytes(content)
        with self.database() as database:
            for table in reversed(TABLES):
                database.execute(f"delete from {table}")
            for table, rows in self.rows.items():
                marks = ",".join("?" * len(rows[0]))
                database.executemany(f"insert into {table} values ({marks})", rows)

    def mutate(self, dice: random.Random) -> str:
        """One change; says which."""
        kind = dice.choice(["artifact", "artifact", "gone", "tag", "metric", "run"])
        run_id = dice.choice([self.study.run_id, self.study.trials[0]])
        if kind in ("artifact", "gone"):
            path = dice.choice(list(self.artifacts))
            if kind == "gone":
                path.unlink()
                return f"{path.name} gone"
            new = garbled(self.artifacts[path].decode(), dice)
            path.write_bytes(new if isinstance(new, bytes) else new.encode())
            return f"{path.name}: {new[:60]!r}"
        with self.database() as database:
            return getattr(self, f"_{kind}")(database, run_id, dice)

    def _tag(self, database: sqlite3.Connection, run_id: str, dice: random.Random):
        keys = database.execute("select key from tags where run_uuid=?", (run_id,))
        key = dice.choice(sorted(keys.fetchall()))[0]
        if dice.random() < 0.4:
            database.execute(
                "delete from tags where run_uuid=? and key=?", (run_id, key)
            )
            return f"no tag {key}"
        value = str(dice.choice(NASTY))
        database.execute(
            "update tags set value=? where run_uuid=? and key=?", (value, run_id, key)
        )
        return f"tag {key}: {value[:40]!r}"

    def _metric(self, database: sqlite3.Connection, run_id: str, dice: random.Random):
        value, is_nan = dice.choice([(1e308, 0), (-1e308, 0), (0.0, 1), (1e200, 0)])
        for table in ("metrics", "latest_metrics"):
            database.execute(
                f"update {table} set value=?, is_nan=? where run_uuid=?",
                (value, is_nan, self.study.trials[0]),
            )
        return f"metrics {value}, {is_nan}"

    def _run(self, database: sqlite3.Connection, run_id: str, dice: random.Random):
        column, value = dice.choice(
            [
                ("lifecycle_stage", "deleted"),
                ("start_time", None),
                ("end_time", 2**62),
                ("start_time", -(2**62)),
                ("status", "KILLED"),
                ("name", "\x1b[2J"),
            ]
        )
        statement = f"update runs set {column}=? where run_uuid=?"
        database.execute(statement, (value, run_id))
        return f"{column} {value}"


@pytest.fixture(scope="module")
def mutable(tmp_path_factory: pytest.TempPathFactory) -> Mutable:
    return Mutable(tmp_path_factory.mktemp("mutable"))


def laid_out(store: Store, planned: PlannedStudy, *, with_page: bool) -> list[str]:
    content = gather(store.client, planned, store.uri)
    return [
        to_markdown(content.table),
        to_latex(content.table),
        table_csv(content.result, content.manifest),
        trials_csv(content.frame),
        ledger_json(content.ledger),
        ledger_markdown(content.ledger),
        *([render_page(content)] if with_page else []),
    ]


def check_mutations(mutable: Mutable, seeds: range) -> tuple[int, int]:
    """Reports and faults of so many changes; anything else is raised."""
    store, num_reports, num_faults = mutable.store, 0, 0
    beside = find_manifest(store.client, "beside", *PLACE)
    wanted = laid_out(store, beside, with_page=False)
    for seed in seeds:
        change = mutable.mutate(random.Random(seed))
        faults: list[StoreContentError] = []
        try:
            planned = all_manifests(store.client, on_fault=faults.append)
            names = {one.manifest.study["name"]: one for one in planned}
            for name in names.keys() - {"beside"}:
                try:
                    laid_out(store, names[name], with_page=seed % 8 == 0)
                    num_reports += 1
                except StoreContentError as fault:
                    faults.append(fault)
            assert laid_out(store, names["beside"], with_page=False) == wanted, change
        except Exception as error:
            error.add_note(f"seed {seed}: {change}")
            raise
        finally:
            mutable.restore()
        num_faults += len(faults)
        for fault in faults:
            assert str(fault).startswith("study "), (change, fault)
            assert "run " in str(fault), (change, fault)
            assert str(fault).isprintable(), (change, fault)
            assert len(str(fault)) < 800, (change, fault)
    return num_reports, num_faults


def test_whatever_is_changed_is_a_report_or_a_named_fault(mutable: Mutable):
    num_reports, num_faults = check_mutations(mutable, range(20))
    assert num_reports > 2
    assert num_faults > 2


@pytest.mark.thorough
@pytest.mark.timeout(3_600)
def test_many_more_changes(mutable: Mutable):
    num_reports, num_faults = check_mutations(mutable, range(1_000, 1_200))
    assert num_reports > 40
    assert num_faults > 40
