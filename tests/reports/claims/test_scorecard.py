from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from ablations.library import load_study, study_names
from ablations.mlflow_names import NOTE_TAG
from d2v_core.errors import ConfigError
from reports.build import Scorecard, build_all
from reports.claims.scorecard import AllClaims, tally, unrun_claims
from reports.claims.scorecard_formats import scorecard_console, scorecard_csv
from reports.page.scorecard_page import scorecard_html
from tests.browser import chromium, watched
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
    """Two studies of ours, one at two scales and run twice at one of them.

    And the one claim of the shipped study ``masking``, at scale laptop.
    """
    old = make_manifest("layers", ks=(1, 2), references=(), seeds=1)
    new = make_manifest(
        "layers", ks=(1, 2), references=(), seeds=8, claims=[claim("two-beat-one")]
    )
    other = make_manifest(
        "other", ks=(1, 2), references=(), seeds=2, claims=[claim("nasty", NASTY)]
    )
    own.study(old)
    own.study(new)
    own.study(new.model_copy(update={"scale": "smoke"}))
    own.study(other)
    [shipped] = load_study("masking").for_modality("vision").claims
    claims = [shipped.model_dump(mode="json")]
    own.study(make_manifest("masking", ks=(1,), references=(), seeds=1, claims=claims))
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
        "masking-vision-laptop",
        "other-vision-laptop",
    ]
    assert all(r.files["report.html"].exists() for r in scorecard.reports)
    assert len(scorecard.reports[0].result.arms[0].seeds) == 8
    verdicts = [one.verdict.verdict for one in scorecard.claims.judged]
    assert verdicts == ["supported", "supported", "undecided", "undecided"]


def papers_claims() -> set[tuple[str, str, str]]:
    studies = [load_study(name) for name in study_names()]
    return {
        (study.name, modality, claim.id)
        for study in studies
        if study.paper is not None
        for modality in study.metric
        for claim in study.for_modality(modality).claims
    }


def test_every_claim_of_the_paper_is_judged_or_not_run_yet(scorecard: Scorecard):
    judged = {
        (one.study, one.modality, one.verdict.claim) for one in scorecard.claims.judged
    }
    unrun = [
        (one.study, one.modality, claim.id)
        for one in scorecard.claims.unrun
        for claim in one.claims
    ]
    assert len(set(unrun)) == len(unrun) == len(papers_claims()) - 1
    assert not judged & set(unrun)
    assert papers_claims() <= judged | set(unrun)
    speech = next(one for one in scorecard.claims.unrun if one.modality == "speech")
    assert speech.command == f"d2v run {speech.study} --modality speech"


def test_questions_of_our_own_are_not_counted_as_the_papers():
    assert load_study("one_recipe").claims
    assert "one_recipe" not in {one.study for one in unrun_claims([])}


def test_claims_of_ones_own_studies_are_counted_apart(scorecard: Scorecard):
    assert tally(scorecard.claims) == (
        "1 judged claim of the paper: 0 supported, 0 contradicted, 1 undecided "
        f"(1 without seeds to compare); {len(papers_claims()) - 1} more not run yet. "
        "3 judged claims of other studies: 2 supported, 0 contradicted, 1 undecided "
        "(1 without seeds to compare)."
    )


def test_the_scorecard_is_text_in_every_format(scorecard: Scorecard):
    assert list(scorecard.files) == [
        *("scorecard.md", "scorecard.csv", "claims.json", "scorecard.html")
    ]
    page = scorecard.files["scorecard.html"].read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert 'class="mark supported" href="layers-vision-laptop/report.html"' in page
    assert 'href="other-vision-laptop/report.html"' in page
    markdown = scorecard.files["scorecard.md"].read_text(encoding="utf-8")
    assert "<script>" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4 + 2 + len(scorecard.claims.unrun)
    bars = [line.replace("\\|", "").count("|") for line in rows]
    assert bars == [11] * 6 + [5] * (len(rows) - 6)
    assert "| masking | speech |" in markdown
    assert "<code>d2v run masking --modality speech</code>" in page
    assert "levels are never compared across scales" in markdown
    console = Console(width=130, file=io.StringIO(), record=True)
    console.print(scorecard_console(scorecard.claims))
    text = console.export_text()
    assert re.search(r"^masking +speech: \d, text: \d *$", text, re.MULTILINE)
    assert "layers · vision · laptop" in text
    assert "[red]so[/red]" in text.replace("\n", " ")


def test_the_csv_holds_unrounded_numbers(scorecard: Scorecard):
    frame = pd.read_csv(scorecard.files["scorecard.csv"])
    first = scorecard.claims.judged[0].verdict
    left = frame[frame["verdict"] == "not run"]
    assert len(left) == scorecard.claims.num_unrun
    assert left["effect"].isna().all()
    assert left["scale"].isna().all()
    frame = frame.drop(left.index)
    assert frame["study"].tolist() == ["layers", "layers", "masking", "other"]
    assert frame["effect"].iloc[0] == pytest.approx(first.effect, rel=1e-15)
    assert frame["verdict"].tolist() == [*["supported"] * 2, *["undecided"] * 2]
    assert frame["n"].tolist() == [8, 8, 0, 0]
    empty = pd.read_csv(io.StringIO(scorecard_csv(AllClaims(()))))
    assert list(empty.columns) == list(frame.columns)
    assert "0 judged claims" in scorecard_html(AllClaims(()), {})


def test_programs_get_all_claims_as_json(scorecard: Scorecard):
    found = json.loads(scorecard.files["claims.json"].read_text(encoding="utf-8"))
    assert [one["verdict"] for one in found["judged"]] == [
        *("supported", "supported", "undecided", "undecided")
    ]
    assert found["judged"][0]["effect"] == scorecard.claims.judged[0].verdict.effect
    assert len(found["not_run"]) == scorecard.claims.num_unrun
    assert found["not_reported"] == []


def test_a_report_shows_its_claims(scorecard: Scorecard, own: Store):
    report = scorecard.reports[0]
    assert "#### Claims" in report.files["table.md"].read_text(encoding="utf-8")
    assert "Two layers beat one. (§5.4)" in report.files["report.html"].read_text(
        encoding="utf-8"
    )
    assert "#### Claims" not in report.files["table.tex"].read_text(encoding="utf-8")
    note = own.client.get_run(report.run_id).data.tags[NOTE_TAG]
    assert "[supported] Two layers beat one: +2.01 [" in note
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
    assert len(only.claims.judged) == 1
    left = [(one.study, one.modality) for one in only.claims.unrun]
    assert ("masking", "speech") in left
    assert ("masking", "vision") not in left  # run, if at another scale
    assert tally(only.claims).endswith("Only scale smoke; other runs are left out.")
    with pytest.raises(ConfigError, match=r"has no study run \(speech\); run a study"):
        build_all(tracking_uri=own.uri, folder=tmp_path, modality="speech")


def test_a_modality_narrows_what_was_not_run_too(own: Store, tmp_path: Path):
    only = build_all(
        tracking_uri=own.uri, folder=tmp_path, modality="vision", attach=False
    )
    assert {one.modality for one in only.claims.unrun} == {"vision"}
    page = only.files["scorecard.html"].read_text(encoding="utf-8")
    assert "Only modality vision; other runs are left out." in page


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_scorecard_in_a_browser(scorecard: Scorecard, width: int):
    file = scorecard.files["scorecard.html"].as_uri()
    with chromium() as browser:
        seen = watched(browser, file, width)
        page = seen.page
        widths = [page.evaluate("document.body.scrollWidth")]
        command = page.get_by_text("d2v run masking --modality speech")
        assert not command.is_visible()
        for summary in page.locator("summary").all():
            summary.click()
        command.wait_for(state="visible")
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
        tables = page.get_by_role("region").all()
        fit = [t.evaluate("box => box.scrollWidth <= box.clientWidth") for t in tables]
    assert seen.complaints == []
    assert seen.requests == [file]
    assert widths == [width, width]
    assert fit
    assert all(fit)
