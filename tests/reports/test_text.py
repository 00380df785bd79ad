"""Nasty names through every format: what a reader or program sees is text."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ablations.record import Manifest
from reports.build import Report, build_report
from reports.claims.view import claims_console
from reports.tables.console import console_view
from reports.text import (
    FORMULA,
    for_csv,
    for_file_name,
    for_filter,
    for_markdown,
    for_terminal,
    one_line,
    quoted,
    visible,
)
from tests.reports.stores import Store, make_named_manifest

NASTY = [
    '=cmd|" /C calc"!A0',
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "\t=1",
    "a|b",
    "line\nbreak",
    "line\r\nbreak",
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://evil\x07link",
    "\x9b2J",
    "[red]so[/red] [link=http://evil]x[/link]",
    "\u202egnp.exe",
    "a\u2066b",
    "zero\u200bwidth",
    "nul\x00here",
    "<script>alert(1)</script>",
    "<b onclick='x'>&amp;",
    "![x](http://evil/pixel.png)",
    "`code` *bold* _it_ ~~no~~",
    r"\input{/etc/passwd} $x$ % & # ^ {",
    "'; drop table runs --",
    "../../etc/passwd",
    "]]> --> <!-- ?>",
    "e\u0301 ß 中 😀 👩\u200d💻",
]
"""Every one a name of an arm; those that a plan may have, all but the empty one."""
ANY_TEXT = st.text(max_size=60)
UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def acting(text: str, kept: str = "\t\n\u200c\u200d") -> set[str]:
    """Letters that act instead of being seen."""
    return {c for c in text if unicodedata.category(c) in UNSAFE and c not in kept}


@given(ANY_TEXT)
@settings(max_examples=100, deadline=None)
def test_visible_text_has_no_letter_that_acts_and_other_text_is_kept(text: str):
    shown = visible(text)
    assert not acting(shown)
    assert visible(shown) == shown
    if not acting(text) and all(unicodedata.category(c)[0] != "C" for c in text):
        assert shown == text


@given(ANY_TEXT)
@settings(max_examples=100, deadline=None)
def test_markdown_is_one_line_without_markup(text: str):
    shown = for_markdown(text)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(\\\\)*[|`*_\[\]~]", shown)
    assert not re.search("[<>]", shown)


@given(ANY_TEXT)
@settings(max_examples=100, deadline=None)
def test_no_cell_of_a_csv_is_computed(text: str):
    cell = for_csv(text)
    assert isinstance(cell, str)
    if cell.startswith(FORMULA):
        float(cell)  # a number, else this raises
    assert not acting(cell)


def test_numbers_stay_numbers_in_a_csv():
    assert for_csv(-1.5) == -1.5
    assert for_csv("-1.5") == "-1.5"
    assert for_csv(None) is None


@given(ANY_TEXT)
@settings(max_examples=100, deadline=None)
def test_a_terminal_gets_text_alone(text: str):
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    console.print(for_terminal(text))
    assert not acting(console.file.getvalue())


@given(ANY_TEXT)
@settings(max_examples=100, deadline=None)
def test_a_file_name_names_a_file_here_and_nothing_else(text: str):
    with contextlib.suppress(ValueError):
        name = for_file_name(text)
        assert Path("/a/b", name).parent == Path("/a/b")
        assert Path("/a/b", name).name == text


@pytest.mark.parametrize("text", ["..", ".", "", "a/b", "a\\b", "C:x", "x" * 300, "-x"])
def test_what_leads_elsewhere_is_no_file_name(text: str):
    with pytest.raises(ValueError, match="can name a file, got"):
        for_file_name(text)


def test_a_filter_takes_no_quotes():
    assert for_filter("d2v.study.x") == "tags.`d2v.study.x`"
    for text in ("a`b", "a'b", 'a"b', "a b"):
        with pytest.raises(ValueError, match="MLflow cannot search"):
            for_filter(text)


def test_a_value_in_a_message_is_short_and_visible():
    assert quoted("a\x1b\u202e") == r"'a\x1b\u202e'"
    assert len(quoted("x" * 10_000)) == 80
    assert one_line("a\n b\x1b") == r"a b\x1b"


# All of it at once: a study whose arms have these names, through every format.


def nasty_study(name: str) -> Manifest:
    claims = [
        {
            "id": f"c{i}",
            "says": text,
            "where": text,
            "test": {"kind": "better", "arm": text, "than": NASTY[0]},
        }
        for i, text in enumerate(NASTY)
    ]
    manifest = make_named_manifest(
        name,
        tuple(NASTY),
        title=" ".join(NASTY),
        hypothesis=" ".join(NASTY),
        baseline=NASTY[0],
        claims=claims,
    )
    arms = [
        arm.model_copy(update={"settings": {t: t}})
        for arm, t in zip(manifest.arms, NASTY, strict=True)
    ]
    nasty = " ".join(NASTY)
    return manifest.model_copy(
        update={"arms": arms, "command": nasty, "data_digest": nasty}
    )


@pytest.fixture(scope="module")
def report(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Report:
    manifest = nasty_study("nasty_names")
    store.study(manifest)
    for number, cell in enumerate(manifest.cells):
        # SQLite keeps a tag up to its NUL; it is no part of this test.
        store.trial(
            manifest,
            cell.arm,
            cell.seed,
            50.0 + number % 7,
            status="collapsed" if number == 3 else "finished",
            reason=NASTY[number % len(NASTY)].replace("\0", ""),
            environment={NASTY[2]: NASTY[8], "trials": "many"},
            curves={"train/loss": [1.0, 0.5]} if number < 3 else {},
        )
    return build_report(
        tracking_uri=store.uri,
        study="nasty_names",
        modality="vision",
        scale="laptop",
        folder=tmp_path_factory.mktemp("nasty") / "report",
    )


def text_of(report: Report, name: str) -> str:
    return report.files[name].read_text(encoding="utf-8")


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.scripts += tag == "script"
        self.attributes |= {name for name, _ in attrs}


def test_no_file_has_a_letter_that_acts(report: Report):
    for name, path in report.files.items():
        if path.suffix not in (".png", ".parquet", ".pdf"):
            assert not acting(text_of(report, name)), name


def test_pages_and_drawings_hold_no_foreign_markup(report: Report):
    page = Tags(text_of(report, "report.html"))
    assert page.scripts == 4  # the data, Vega, tables, charts: ours alone
    assert not page.found & {"img", "b", "iframe"}
    assert not {name for name in page.attributes if name.startswith("on")}
    ElementTree.parse(report.files["curve.svg"])


def test_names_are_data_of_the_charts_and_no_part_of_an_expression(report: Report):
    text = text_of(report, "report.html")
    [element] = re.findall(r'id="chart-data">(.*?)</script>', text, re.DOTALL)
    assert not re.search("[<>&]", element)
    data = json.loads(element)
    assert {arm["label"] for arm in data["arms"]} == {visible(name) for name in NASTY}
    evaluated = {"expr", "filter", "calculate", "test", "labelExpr", "signal", "href"}
    own = re.compile(r"datum\.kind == '[a-z]+'|datum\.value > [-0-9.e]+")

    def look(node: object) -> None:
        if isinstance(node, dict):
            for name, value in node.items():
                assert name not in evaluated or own.fullmatch(value), (name, value)
                look(value)
        elif isinstance(node, list):
            for value in node:
                look(value)

    for spec in data["charts"].values():
        look(spec)


def test_rows_of_tables_stay_rows(report: Report):
    rows = [x for x in text_of(report, "table.md").splitlines() if x.startswith("|")]
    bars = [row.replace("\\|", "").count("|") for row in rows]
    columns = len(report.table.columns) + 1
    assert bars == [columns] * (2 + len(NASTY)) + [8] * (2 + len(NASTY))
    assert r"\input" not in text_of(report, "table.tex")
    assert "\\textbackslash{}input" in text_of(report, "table.tex")


@pytest.mark.parametrize("name", ["table.csv", "trials.csv", "claims.csv"])
def test_spreadsheets_compute_nothing(report: Report, name: str):
    text = text_of(report, name)
    for row in list(csv.reader(io.StringIO(text)))[1:]:
        for cell in row:
            if cell.startswith(FORMULA):
                float(cell)
    assert len(pd.read_csv(report.files[name])) >= len(NASTY)


def test_the_terminal_shows_names_as_they_are(report: Report):
    console = Console(file=io.StringIO(), force_terminal=True, width=400)
    with console.capture() as capture:
        console.print(console_view(report.table))
        console.print(claims_console(report.verdicts))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capture.get())  # rich's own colours
    assert not acting(shown)
    assert "[red]so[/red]" in shown
    assert r"\x1b[31mred" in shown
    assert "\x1b[31mred" not in capture.get()
