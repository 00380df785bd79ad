from __future__ import annotations

import io
import math

import pandas as pd
import pytest
from rich.console import Console

from ablations.record import Manifest
from reports.caption import summary
from reports.console import console_view
from reports.formats import escape_markdown, table_csv, to_markdown, trials_csv
from reports.latex import to_latex
from reports.paper import paper_numbers
from reports.statistics import StudyResult, study_result
from reports.store import trial_frame
from reports.table import Table, build_table
from tests.reports.stores import Store, make_manifest, make_named_manifest

NASTY = "<script>alert(1)</script> 50% a_b & #1 $x$ {y} ~ ^ \\ | [z]"


@pytest.fixture(scope="module")
def troubled(store: Store) -> tuple[Manifest, pd.DataFrame]:
    """Two seeds; K=2 misses one, K=3 failed twice, one of K=4 collapsed."""
    manifest = make_manifest("troubled")
    store.study(manifest)
    values = {"K=1": 60.0, "K=2": 62.0, "K=4": 61.0, "untrained": 40.0}
    for cell in manifest.cells:
        place = (cell.arm, cell.seed)
        if place == ("K=2", 1) or cell.arm == "supervised":
            continue
        if cell.arm == "K=3":
            store.trial(manifest, *place, None, status="failed", reason="loss is nan")
        elif place == ("K=4", 1):
            store.trial(manifest, *place, 20.0, status="collapsed", reason="std 0.001")
        else:
            store.trial(manifest, *place, values[cell.arm] + cell.seed)
    return manifest, trial_frame(store.client, manifest)


@pytest.fixture(scope="module")
def result(troubled: tuple[Manifest, pd.DataFrame]) -> StudyResult:
    return study_result(troubled[1], troubled[0])


@pytest.fixture(scope="module")
def table(troubled: tuple[Manifest, pd.DataFrame], result: StudyResult) -> Table:
    return build_table(result, troubled[0])


def note(table: Table, mark: str) -> str:
    return next(note.text for note in table.notes if note.mark == mark)


def test_seeds_are_counted_in_every_row(table: Table):
    counts = [table.cell(row.label, "n").text for row in table.rows]
    assert counts == [
        "2/2",
        "1/2",
        "0/2",
        "2/2, 1 collapsed",
        "2/2",
        "0/2",
    ]


def test_every_gap_has_its_reason_in_a_note(table: Table):
    reasons = {
        label: [note(table, mark) for mark in table.cell(label, "n").marks]
        for label in ("K=1", "K=2", "K=3", "K=4", "supervised")
    }
    assert reasons == {
        "K=1": [],
        "K=2": ["seed 1 not run yet"],
        "K=3": ["seeds 0, 1 failed: loss is nan"],
        "K=4": ["seed 1 collapsed: std 0.001 (its value counts)"],
        "supervised": ["seeds 0, 1 not run yet"],
    }


def test_values_intervals_and_their_absence(table: Table):
    assert table.cell("K=1", "value").text == "60.50 ± 6.35"
    assert table.cell("K=2", "value").text == "62.00"
    assert note(table, table.cell("K=2", "value").marks[0]) == "one seed: no interval"
    assert table.cell("K=3", "value").text == "failed"
    assert table.cell("supervised", "value").text == "missing"
    assert table.cell("K=4", "value").value == pytest.approx(40.5)


def test_differences_are_signed_and_paired(table: Table):
    assert table.cell("K=1", "difference").text == "–"
    change = table.cell("K=2", "difference")
    assert (change.text, change.value) == ("+2.00", 2.0)
    assert note(table, change.marks[0]) == "one common seed: no interval"
    assert table.cell("untrained", "difference").text == "−20.00 ± 0.00"
    assert table.cell("K=1", "gain").text == "+20.00 ± 0.00"
    assert table.cell("untrained", "gain").text == "–"


def test_fewer_pairs_than_seeds_is_said(store: Store):
    manifest = make_manifest("pairs", ks=(1, 2), references=(), seeds=3)
    for cell in manifest.cells:
        if (cell.arm, cell.seed) != ("K=1", 2):
            store.trial(manifest, cell.arm, cell.seed, 50.0 + cell.seed)
    frame = trial_frame(store.client, manifest)
    table = build_table(study_result(frame, manifest), manifest)
    marks = table.cell("K=2", "difference").marks
    assert [note(table, mark) for mark in marks] == ["over the 2 seeds both arms have"]


def test_the_papers_numbers_carry_mark_arm_and_tolerance(table: Table):
    cell = table.cell("K=3", "paper")
    assert cell.marked_text == "83.64 ± 0.02 ᵈ"
    assert (cell.value, cell.half_width) == (83.64, 0.02)
    assert table.cell("K=3", "paper_arm").text == "K=9"
    assert table.cell("untrained", "paper").text == "–"
    assert note(table, "d") == (
        "digitised from Figure 2 of arXiv 2202.03555v3, reading error ±0.02"
    )


def test_read_numbers_keep_their_precision_and_have_no_tolerance(store: Store):
    # Table 5 of the paper (speech), used here for its form only.
    values = {"self-attention": 100.0, "FFN": 13.1}
    manifest = make_named_manifest(
        "read",
        ("self-attention", "FFN", "other"),
        paper={"arxiv": "2202.03555v3", "where": "Table 5"},
        published={
            "vision": {
                "metric": "word error rate (%)",
                "source": "read",
                "tolerance": None,
                "higher_is_better": False,
                "values": values,
            }
        },
    )
    arms = [
        arm.model_copy(
            update={
                "paper": {
                    "value": values[arm.label],
                    "at": arm.label,
                    "source": "read",
                    "tolerance": None,
                }
            }
        )
        for arm in manifest.arms[:2]
    ]
    manifest = manifest.model_copy(update={"arms": [*arms, manifest.arms[2]]})
    result = study_result(trial_frame(store.client, manifest), manifest)
    table = build_table(result, manifest)
    texts = [table.cell(row.label, "paper").marked_text for row in table.rows]
    assert texts == ["100.0 ʳ", "13.1 ʳ", "not reported"]
    assert note(table, "r") == "read from Table 5 of arXiv 2202.03555v3"
    assert "The paper's lowest value is 13.1 at FFN" in summary(
        result, manifest, paper_numbers(manifest)
    )


def test_without_published_numbers_arms_are_not_reported(store: Store):
    manifest = make_manifest("unpublished", ks=(1,), published=False)
    frame = trial_frame(store.client, manifest)
    table = build_table(study_result(frame, manifest), manifest)
    assert table.cell("K=1", "paper").text == "not reported"
    assert table.cell("untrained", "paper").text == "–"
    own = make_manifest("own", ks=(1,), published=False, paper=None)
    table = build_table(study_result(frame.assign(arm="K=1"), own), own)
    assert "paper" not in [column.key for column in table.columns]


def test_caption_says_n_interval_what_varied_and_what_not_to_compare(table: Table):
    for part in (
        "95 % Student-t interval of the mean",
        "n = 0 to 2 seeds",
        "initial weights, data order, masks, augmentation and the labelled subset",
        "paired across arms",
        "Collapsed trials count",
        "never levels",
    ):
        assert part in table.caption


def test_summary_is_computed_from_the_numbers(troubled, result: StudyResult):
    text = summary(result, troubled[0], paper_numbers(troubled[0]))
    assert text.startswith(
        "Of 12 trials: 6 finished, 1 collapsed, 2 failed, 3 missing. The highest mean "
        "linear probe accuracy (%) is 62.00 at K=2 (1 seed). The paired differences to "
        "K=1 run from −20.00 ± "
    )
    assert text.endswith(
        "The paper's highest value is 84.02 ± 0.02 at K=3 (digitised from Figure 2 of "
        "arXiv 2202.03555v3). Kendall's tau-b between our order and the paper's is "
        "+1.00 (one seed gives no interval; 3 arms, 1 common seed). Both have their "
        "best arm at K=2."
    )


def test_markdown_has_one_line_per_arm_and_escapes_bars(table: Table):
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(table.rows)
    assert {line.count("|") for line in lines} == {len(table.columns) + 1}
    assert escape_markdown("a|b\nc <i>") == "a\\|b c &lt;i&gt;"


def test_table_csv_holds_unrounded_numbers(troubled, result: StudyResult):
    frame = pd.read_csv(io.StringIO(table_csv(result, troubled[0])))
    assert frame["arm"].tolist() == [arm.label for arm in result.arms]
    assert frame["n"].tolist() == [2, 1, 0, 2, 2, 0]
    means = [arm.mean.mean if arm.mean else math.nan for arm in result.arms]
    assert frame["mean"].tolist() == pytest.approx(means, nan_ok=True)
    assert frame["low"].iloc[0] == pytest.approx(result.arms[0].mean.low, rel=1e-15)
    assert frame["paper_value"].iloc[:4].tolist() == [83.01, 83.79, 83.64, 83.66]
    assert frame["paper_source"].iloc[0] == "digitised"


def test_trials_csv_is_tidy_and_comes_back(troubled):
    frame = troubled[1]
    back = pd.read_csv(io.StringIO(trials_csv(frame)), keep_default_na=False)
    assert list(back.columns) == [
        *("arm", "seed", "key", "status", "reason", "notes"),
        *("metric", "value", "run_id", "experiment_id"),
    ]
    assert set(back["key"]) == set(frame["key"])
    ours = back[back["metric"] == "eval/linear_accuracy"]
    assert pd.to_numeric(ours["value"]).tolist() == (
        frame["eval/linear_accuracy"].dropna().tolist()
    )
    failed = back[back["status"] == "failed"]
    assert failed["reason"].tolist() == ["loss is nan"] * 2
    assert failed["metric"].tolist() == ["", ""]


def test_console_shows_the_table_and_reads_no_markup(store: Store, table: Table):
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(console_view(table))
    text = console.export_text()
    assert "1/2" in text
    assert "83.79 ᵈ K=6" in text
    manifest = make_named_manifest("markup", ("[red]arm[/red]",), title="[b]title[/b]")
    frame = trial_frame(store.client, manifest)
    console.print(console_view(build_table(study_result(frame, manifest), manifest)))
    text = console.export_text()
    assert "[red]arm[/red]" in text
    assert "[b]title[/b]" in text


def test_text_from_yaml_stays_text_in_every_format(store: Store):
    manifest = make_named_manifest("nasty", (NASTY,), title=NASTY)
    frame = trial_frame(store.client, manifest)
    result = study_result(frame, manifest)
    table = build_table(result, manifest)
    assert "<script>" not in to_markdown(table)
    assert r"\textless{}script\textgreater{}" in to_latex(table)
    back = pd.read_csv(io.StringIO(table_csv(result, manifest)))
    assert back["arm"].tolist() == [NASTY]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_console_breaks_no_word_and_no_count(table: Table, width: int):
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(console_view(table))
    text = console.export_text()
    for whole in ("1/2", "supervised", "difference", "collapsed", "untrained"):
        assert whole in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_a_narrow_console_cuts_nothing_off(table: Table):
    console = Console(width=50, file=io.StringIO(), record=True)
    console.print(console_view(table))
    head = console.export_text().split("Averaging the top K teacher layers (")[0]
    assert "K=12" in head.replace("\n", "") or "12" in head
    assert "…" not in head
