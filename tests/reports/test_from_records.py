"""A report from a file of records is the report from the store, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations.mlflow_names import COMMAND_TAG, OPENED_TAG, REQUEST_TAG
from ablations.record import Manifest, ManifestCell
from reports.build import build_all, build_report, gather
from reports.compare import Comparison, compare_study
from reports.page.report_page import render_page
from reports.recording import export_records
from reports.results import KEPT, PICTURES, SCORECARD, results, write_results
from reports.store.frames import trial_frame
from reports.store.manifests import all_manifests, find_manifest
from reports.store.records import RecordsReader, Row, read_rows, write_rows
from tests.reports.stores import Store, make_manifest, make_store
from tests.reports.test_report import CLAIMS, NASTY, fill

COMMITTED = Path(__file__).parents[2] / "docs" / "results"
PASSWORD = "open-sesame-77"
CURVE = {"probe/linear_validation_accuracy": [40.0, 50.0], "target/std": [0.5, 0.4]}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two studies: one with everything that can be wrong, one small and healthy."""
    store = make_store(tmp_path_factory.mktemp("recorded"))
    troubled = make_manifest("troubled", hypothesis=NASTY, title=NASTY, claims=CLAIMS)
    left = [ManifestCell(arm="K=9", seed=0, key="troubled-K=9-0")]
    fill(store, troubled.model_copy(update={"removed": left}))
    healthy = make_manifest("healthy", seeds=7, ks=(1, 3), claims=CLAIMS[:1])
    base = {**healthy.base, "training": {"num_steps": 40}}
    healthy = healthy.model_copy(update={"base": base})
    store.study(healthy)
    for cell in healthy.cells:
        better = 5.0 * (cell.arm == "K=3")
        run_id = store.trial(
            healthy,
            cell.arm,
            cell.seed,
            50.0 + better + 0.1 * cell.seed,
            environment={"torch": "2.15.0", "processor": "abacus"},
            curves=CURVE,
            draws=[49.0 + better, 51.0 + better, 50.5 + better],
        )
        command = f"d2v run healthy --tracking-uri http://me:{PASSWORD}@host:5000"
        store.client.set_tag(run_id, COMMAND_TAG, command)
    return store


@pytest.fixture(scope="module")
def recorded(filled: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("records") / "records.parquet"
    export_records(filled.client, all_manifests(filled.client), path, "--records")
    return path


def files_below(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.thorough
def test_every_output_is_the_same_bytes_but_for_links_to_the_store(
    filled: Store, recorded: Path, tmp_path: Path
):
    # The store's password is hidden in the file, so that one trial's command differs.
    for run in filled.client.search_runs([filled.experiment("healthy")]):
        shown = "d2v run healthy --tracking-uri http://me:…@host:5000"
        if COMMAND_TAG in run.data.tags:
            filled.client.set_tag(run.info.run_id, COMMAND_TAG, shown)
    build_all(tracking_uri=filled.uri, folder=tmp_path / "store", attach=False)
    build_all(records=RecordsReader(recorded), folder=tmp_path / "file")
    ours, theirs = files_below(tmp_path / "store"), files_below(tmp_path / "file")
    assert ours.keys() == theirs.keys()
    assert len(ours) >= 2 * 13 + 3
    pages = {name for name in ours if name.endswith("report.html")}
    assert len(pages) == 2
    # vl-convert writes a PDF's fonts in an order that changes from one to the next.
    pdfs = {name for name in ours if name.endswith(".pdf")}
    assert [n for n in pdfs if len(ours[n]) != len(theirs[n])] == []
    assert [n for n in ours if n not in pages | pdfs and ours[n] != theirs[n]] == []
    # The pages link to MLflow; without links they are the same too.
    for planned in all_manifests(filled.client):
        page = render_page(gather(filled.client, planned, ""))
        name = f"{planned.manifest.study['name']}-vision-laptop/report.html"
        assert page.encode() == theirs[name]
        assert "127.0.0.1" in ours[name].decode()
        assert "127.0.0.1" not in page


def test_the_file_names_no_store_and_holds_no_password(filled: Store, recorded: Path):
    text = json.dumps(read_rows(recorded), default=str)
    runs = filled.client.search_runs(list(filled.experiments.values()))
    assert len(runs) > 20
    assert not [run.info.run_id for run in runs if run.info.run_id in text]
    assert PASSWORD not in text
    assert filled.uri not in text
    assert filled.artifacts not in text
    assert recorded.stat().st_size < 60_000


def test_the_same_studies_are_the_same_bytes(
    filled: Store, recorded: Path, tmp_path: Path
):
    again = tmp_path / "again.parquet"
    studies = all_manifests(filled.client)
    for planned in reversed(studies):
        export_records(filled.client, [planned], again, "--records")
    assert again.read_bytes() == recorded.read_bytes()
    # From a file into another, no store needed:
    other = tmp_path / "other.parquet"
    reader = RecordsReader(recorded)
    export_records(reader, all_manifests(reader), other, "--records")
    assert other.read_bytes() == recorded.read_bytes()


def test_a_study_is_added_or_replaced_and_the_others_stay(
    filled: Store, recorded: Path, tmp_path: Path
):
    path = tmp_path / "records.parquet"
    healthy, troubled = all_manifests(filled.client)
    first = export_records(filled.client, [healthy], path, "--records")
    assert (first.added, first.replaced, first.others) == (1, 0, 0)
    rows = read_rows(path)
    second = export_records(filled.client, [troubled], path, "--records")
    assert (second.added, second.replaced, second.others) == (1, 0, 1)
    third = export_records(filled.client, [troubled], path, "--records")
    assert (third.added, third.replaced, third.others) == (0, 1, 1)
    assert third.num_trials == second.num_trials
    assert [row for row in read_rows(path) if row["study"] == "healthy"] == rows


def test_of_runs_opened_at_once_the_file_takes_the_one_the_store_takes(
    store: Store, tmp_path: Path
):
    manifest = make_manifest("at_once", seeds=1, ks=(1,), references=())
    store.study(manifest)
    for score in (60.0, 61.0, 62.0):
        run_id = store.trial(manifest, "K=1", 0, score)
        store.client.set_tag(run_id, OPENED_TAG, "1790000000000")
    path = tmp_path / "records.parquet"
    planned = find_manifest(store.client, "at_once", "vision", "laptop")
    export_records(store.client, [planned], path, "--records")
    for source in (store.client, RecordsReader(path)):
        frame = trial_frame(source, manifest)
        kept = frame[["eval/linear_accuracy", "num_tries"]].iloc[0].tolist()
        assert (
            kept
            == trial_frame(store.client, manifest)[
                ["eval/linear_accuracy", "num_tries"]
            ]
            .iloc[0]
            .tolist()
        )


def test_requests_that_share_trials_count_them_once_each(store: Store, tmp_path: Path):
    plain = make_manifest("asked_twice", seeds=1, ks=(1,), references=())
    set_by_hand = plain.model_copy(update={"assignments": ["target.top_k=2"]})
    store.study(plain, **{REQUEST_TAG: plain.request_id})
    store.study(set_by_hand, **{REQUEST_TAG: set_by_hand.request_id})
    store.trial(plain, "K=1", 0, 60.0)
    path = tmp_path / "records.parquet"
    asked = ("asked_twice", "vision", "laptop")
    for manifest in (plain, set_by_hand):
        one = find_manifest(store.client, *asked, manifest.request_id)
        export_records(store.client, [one], path, "--records")
    reader = RecordsReader(path)
    for manifest in (plain, set_by_hand):
        found = find_manifest(reader, *asked, manifest.request_id)
        assert found.manifest == manifest
        assert trial_frame(reader, manifest)["num_tries"].tolist() == [1]
    assert find_manifest(reader, *asked).manifest == set_by_hand


def changed(
    recorded: Path, path: Path, change: Callable[[Row], dict[str, Any]]
) -> RecordsReader:
    """The same records, some rows changed."""
    write_rows([{**row, **change(row)} for row in read_rows(recorded)], path)
    return RecordsReader(path)


def compared(here: RecordsReader, recorded: Path) -> Comparison:
    found = compare_study(here, RecordsReader(recorded), "healthy", "vision", "laptop")
    assert found is not None
    return found


def test_a_study_agrees_with_itself(recorded: Path):
    found = compared(RecordsReader(recorded), recorded)
    text = "\n".join(found.lines())
    assert found.agrees
    assert "1 of 1 claim agree" in text
    assert "28 of 28 trials equal to the last digit" in text
    assert text.count("processor abacus, torch 2.15.0") == 2
    assert "supported (+5.00) recorded, supported (+5.00) here" in text
    assert "other keys" not in text


def test_scores_that_differ_are_told_by_how_much(recorded: Path, tmp_path: Path):
    def change(row: Row) -> dict[str, Any]:
        if (row["study"], row["arm"], row["seed"]) != ("healthy", "K=3", 2):
            return {}
        score = row["metrics"]["eval/linear_accuracy"] + 0.25
        return {"metrics": {**row["metrics"], "eval/linear_accuracy": score}}

    found = compared(changed(recorded, tmp_path / "r.parquet", change), recorded)
    text = "\n".join(found.lines())
    assert found.agrees
    assert "27 of 28 trials equal to the last digit" in text
    assert "K=3: 1 trial of 7 differ, by at most +0.25, in the mean +0.03571" in text


def test_another_verdict_is_a_difference(recorded: Path, tmp_path: Path):
    def change(row: Row) -> dict[str, Any]:
        worse = -20.0 * (row["arm"] == "K=3")
        scores = {k: v + worse for k, v in row["metrics"].items() if "linear" in k}
        return {"metrics": {**row["metrics"], **scores}}

    found = compared(changed(recorded, tmp_path / "r.parquet", change), recorded)
    assert not found.agrees
    text = "\n".join(found.lines())
    assert "0 of 1 claim agree" in text
    assert "DIFFERS: many-beat-one: supported (+5.00) recorded, contradicted" in text


def test_fewer_seeds_are_compared_over_those_that_both_have(
    recorded: Path, tmp_path: Path
):
    def change(row: Row) -> dict[str, Any]:
        if (row["study"], row["kind"]) != ("healthy", "study"):
            return {}
        manifest = Manifest.model_validate_json(row["document"])
        cells = [cell for cell in manifest.cells if cell.seed < 3]
        fewer = manifest.model_copy(update={"cells": cells})
        return {"document": fewer.model_dump_json()}

    found = compared(changed(recorded, tmp_path / "r.parquet", change), recorded)
    text = "\n".join(found.lines())
    assert found.seeds == (0, 1, 2)
    assert "seeds: 0 to 6 recorded, 0 to 2 here; compared over 0 to 2" in text
    # Three pairs decide nothing, on either side; what all seven say stands beside it.
    assert found.agrees
    assert "over all recorded seeds supported (+5.00)" in text


def test_committed_files_follow_from_the_records(recorded: Path, tmp_path: Path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "records.parquet").write_bytes(recorded.read_bytes())
    (folder / "README.md").write_text("by hand")
    written = write_results(folder)
    files = files_below(folder)
    assert len(files) == written + 2
    assert set(SCORECARD) <= files.keys()
    assert {f"healthy-vision-laptop/{name}" for name in KEPT} <= files.keys()
    assert any(name.endswith(PICTURES) for name in files)
    before = dict(files)
    write_results(folder)
    assert files_below(folder) == before


@pytest.mark.skipif(
    not (COMMITTED / "records.parquet").exists(),
    reason="docs/results/records.parquet is not there yet",
)
def test_the_committed_results_are_those_of_the_committed_records():
    records = COMMITTED / "records.parquet"
    assert records.stat().st_size <= 5 << 20
    expected = dict(results(records))
    # A picture's letters are drawn with the fonts of the machine.
    differing = [
        name
        for name, content in expected.items()
        if not (COMMITTED / name).is_file()
        or not (name.endswith(PICTURES) or (COMMITTED / name).read_bytes() == content)
    ]
    assert differing == [], "make results writes them anew"


def test_a_report_of_one_study_comes_from_the_file_alone(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody answers
    report = build_report(
        records=RecordsReader(recorded),
        study="healthy",
        modality="vision",
        scale="laptop",
        folder=tmp_path,
    )
    assert [one.verdict for one in report.verdicts] == ["supported"]
    assert report.result.arms[0].values[6] == pytest.approx(50.6)
