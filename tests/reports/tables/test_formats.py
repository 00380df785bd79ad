"""A table as Markdown, as CSV and on a console."""

from __future__ import annotations

import io
import math

import pandas as pd
import pytest
from rich.console import Console

from reports.statistics.summary import StudyResult, study_result
from reports.store.frames import trial_frame
from reports.tables.console import console_view
from reports.tables.formats import table_csv, to_markdown, trials_csv
from reports.tables.latex import to_latex
from reports.tables.table import Table, build_table
from reports.text import for_markdown
from tests.reports.stores import Store, make_named_manifest

NASTY = "<script>alert(1)</script> 50% a_b & #1 $x$ {y} ~ ^ \\ | [z]"


def test_markdown_has_one_line_per_arm_and_escapes_bars(table: Table):
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(table.rows)
    assert {line.count("|") for line in lines} == {len(table.columns) + 1}
    assert for_markdown("a|b\nc <i>") == "a\\|b c &lt;i&gt;"


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
        *("metric", "value"),
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
    assert "83.79 K=6" in text
    assert "digitised" not in text
    console.print(console_view(table, verbose=True))
    text = console.export_text()
    assert "83.79 ᵈ K=6" in text
    assert "digitised" in text
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


@pytest.mark.parametrize("width", [44, 48, 52])
def test_long_labels_wrap_between_words_and_an_empty_paper_has_no_column(
    store: Store, width: int
):
    labels = tuple(f"lr={n}x, warm-up={n}x, horizon=10x" for n in (1, 10, 100))
    paper = {"arxiv": "2202.03555v3", "where": "section 6 (no numbers)"}
    manifest = make_named_manifest("crossed", labels, paper=paper, baseline=labels[0])
    table = build_table(
        study_result(trial_frame(store.client, manifest), manifest), manifest
    )
    assert "paper" in [column.key for column in table.columns]
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(console_view(table))
    text = console.export_text()
    for word in ("lr=10x,", "warm-up=100x,", "horizon=10x"):
        assert word in text
    assert labels[2] not in text  # the label does not fit
    assert "paper" not in text
    assert "not reported" not in text


def test_a_narrow_console_cuts_nothing_off(table: Table):
    console = Console(width=50, file=io.StringIO(), record=True)
    console.print(console_view(table))
    head = console.export_text().split("Averaging the top K teacher layers, ")[0]
    assert "K=12" in head.replace("\n", "") or "12" in head
    assert "…" not in head
