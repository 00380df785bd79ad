from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from ablations.notes import NOTE_TAG
from d2v_core.errors import ConfigError
from reports.build import Scorecard, build_all
from reports.scorecard import (
    scorecard_console,
    scorecard_csv,
    scorecard_html,
    tally,
)
from tests.reports.stores import Store, make_manifest, make_store

BETTER = {"kind": "better", "arm": "K=2", "than": "K=1"}
NASTY = "<script>alert(1)</script> | *says* [red]so[/red]"


def claim(name: str, says: str = "Two layers beat one.") -> dict[str, object]:
    return {"id": name, "says": says, "where": "§5.4", "test": BETTER}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("scorecard"))


@pytest.fixture(scope="module")
def scorecard(own: Store, tmp_path_factory: pytest.TempPathFactory) -> Scorecard:
    """Two studies, one at two scales and run twice at one of them."""
    old = make_manifest("layers", ks=(1, 2), references=(), seeds=1)
    new = make_manifest(
        "layers", ks=(1, 2), references=(), seeds=3, claims=[claim("two-beat-one")]
    )
    other = make_manifest(
        "other", ks=(1, 2), references=(), seeds=2, claims=[claim("nasty", NASTY)]
    )
    own.study(old)
    own.study(new)
    own.study(new.model_copy(update={"scale": "smoke"}))
    own.study(other)
    for cell in new.cells:
        value = (60.0 if cell.arm == "K=1" else 62.0) + 0.1 * cell.seed**2
        value += 0.05 * (cell.seed == 1 and cell.arm == "K=2")
        own.trial(new, cell.arm, cell.seed, value)
    folder = tmp_path_factory.mktemp("reports")
    return build_all(tracking_uri=own.uri, folder=folder)


def test_every_study_modality_and_scale_is_reported_once(scorecard: Scorecard):
    assert [report.folder.name for report in scorecard.reports] == [
        "layers-vision-laptop",
        "layers-vision-smoke",
        "other-vision-laptop",
    ]
    assert all(r.files["report.html"].exists() for r in scorecard.reports)
    assert len(scorecard.reports[0].result.arms[0].seeds) == 3
    verdicts = [one.verdict.verdict for one in scorecard.claims]
    assert verdicts == ["supported", "supported", "undecided"]
    assert tally(scorecard.claims) == (
        "3 claims: 2 supported, 0 contradicted, 1 undecided."
    )


def test_the_scorecard_is_text_in_every_format(scorecard: Scorecard):
    assert list(scorecard.files) == ["scorecard.md", "scorecard.csv", "scorecard.html"]
    page = scorecard.files["scorecard.html"].read_text(encoding="utf-8")
    assert "<script>" not in page
    assert 'href="other-vision-laptop/report.html"' in page
    markdown = scorecard.files["scorecard.md"].read_text(encoding="utf-8")
    assert "<script>" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    bars = {line.replace("\\|", "").count("|") for line in rows}
    assert bars == {11}
    assert "levels are never compared across scales" in markdown
    console = Console(width=130, file=io.StringIO(), record=True)
    console.print(scorecard_console(scorecard.claims))
    text = console.export_text()
    assert "layers · vision · laptop" in text
    assert "[red]so[/red]" in text.replace("\n", " ")


def test_the_csv_holds_unrounded_numbers(scorecard: Scorecard):
    frame = pd.read_csv(scorecard.files["scorecard.csv"])
    first = scorecard.claims[0].verdict
    assert frame["study"].tolist() == ["layers", "layers", "other"]
    assert frame["effect"].iloc[0] == pytest.approx(first.effect, rel=1e-15)
    assert frame["verdict"].tolist() == ["supported", "supported", "undecided"]
    assert frame["n"].tolist() == [3, 3, 0]
    empty = pd.read_csv(io.StringIO(scorecard_csv([])))
    assert list(empty.columns) == list(frame.columns)
    assert "0 claims" in scorecard_html([], {})


def test_a_report_shows_its_claims(scorecard: Scorecard, own: Store):
    report = scorecard.reports[0]
    assert "#### Claims" in report.files["table.md"].read_text(encoding="utf-8")
    assert "Two layers beat one. (§5.4)" in report.files["report.html"].read_text(
        encoding="utf-8"
    )
    assert "#### Claims" not in report.files["table.tex"].read_text(encoding="utf-8")
    note = own.client.get_run(report.run_id).data.tags[NOTE_TAG]
    assert "[supported] Two layers beat one: +2.02 [" in note
    assert pd.read_csv(report.files["claims.csv"])["claim"].tolist() == ["two-beat-one"]


def test_all_can_be_narrowed_and_says_when_nothing_is_left(own: Store, tmp_path: Path):
    seen: list[str] = []
    only = build_all(
        tracking_uri=own.uri,
        folder=tmp_path,
        scale="smoke",
        attach=False,
        on_report=lambda report: seen.append(report.folder.name),
    )
    assert seen == ["layers-vision-smoke"]
    assert len(only.claims) == 1
    with pytest.raises(ConfigError, match=r"has no study run \(speech\); run a study"):
        build_all(tracking_uri=own.uri, folder=tmp_path, modality="speech")
