"""``d2v report`` with a file of records: written, read without a store, compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablations.mlflow_names import REQUEST_TAG
from reports.store.records import read_rows, write_rows
from tests.d2v_cli.test_options import called
from tests.reports.stores import make_manifest, make_store
from tests.reports.test_report import CLAIMS

PLACE = ("lent", "--scale", "laptop")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage folder with one study of seven seeds."""
    folder = tmp_path_factory.mktemp("lab")
    store = make_store(folder)
    manifest = make_manifest("lent", seeds=7, ks=(1, 3), claims=CLAIMS[:1])
    store.study(manifest, **{REQUEST_TAG: manifest.request_id})
    for cell in manifest.cells:
        score = 50.0 + 5.0 * (cell.arm == "K=3") + 0.1 * cell.seed
        store.trial(manifest, cell.arm, cell.seed, score)
    return folder


def test_records_are_written_reported_and_compared(
    lab: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        code = called("report", *arguments, monkeypatch=monkeypatch)
        output = capsys.readouterr()
        return code, output.out + output.err

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file = tmp_path / "records.parquet"
    storage = ("--storage", str(lab))
    code, text = run(*PLACE, *storage, "--records", str(file))
    assert code == 0
    assert re.search(
        r"\(studies: 1 added, 0 replaced, 0 as they were; 28 trials, ", text
    )
    code, text = run("--all", *storage, "--records", str(file))
    assert (code, "studies: 0 added, 1 replaced" in text) == (0, True)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody answers
    out = ("--storage", str(tmp_path / "out"))
    code, text = run(*PLACE, *out, "--from", str(file))
    assert (code, "supported" in text) == (0, True)
    assert (tmp_path / "out/reports/lent-vision-laptop/report.html").is_file()
    code, text = run("--all", *out, "--from", str(file))
    assert (code, "scorecard:" in text) == (0, True)
    assert not (tmp_path / "out/mlflow.db").exists()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")

    code, text = run(*PLACE, *storage, "--compare", str(file))
    assert (code, "verdicts: 1 of 1 claim agree" in text) == (0, True)
    rows = read_rows(file)
    for row in rows:
        if row["arm"] == "K=3":
            row["metrics"] = {"eval/linear_accuracy": 1.0}
    write_rows(rows, file)
    code, text = run(*PLACE, *storage, "--compare", str(file))
    assert code == 1
    assert "DIFFERS: many-beat-one: contradicted" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lent", "--from", "no.parquet"), "--from: no.parquet must be an existing"),
        (("lent", "--compare", "a", "--records", "b"), "must stand without --records"),
        (("--all", "--compare", "a"), "must stand with studies, not --all"),
        (("lent", "--from", "a", "--tracking-uri", "b"), "without --tracking-uri"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert called("report", *arguments, monkeypatch=monkeypatch) == 2
    assert message in capsys.readouterr().err
