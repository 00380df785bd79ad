"""The pictures of the documents can be made, and the documents show those there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gallery import ROOT, make

DOCS = ROOT / "docs"
SHOWN = re.compile(r"!\[[^\]]+\]\(((?:docs/)?images/[^)]+)\)")


@pytest.mark.browser
@pytest.mark.thorough
def test_page_scorecard_and_terminal_are_drawn(tmp_path: Path) -> None:
    made = make(tmp_path)
    names = ["report-phone.png", "report.png", "scorecard.png", "terminal.png"]
    assert [file.name for file in made] == names
    for file in made:
        assert file.read_bytes().startswith(b"\x89PNG")
        assert 20_000 < file.stat().st_size < 500_000, file


def test_every_picture_is_shown_with_words_and_every_shown_one_is_there() -> None:
    pages = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    shown = {
        (page.parent / found).resolve()
        for page in pages
        for found in SHOWN.findall(page.read_text())
    }
    assert shown == {path.resolve() for path in (DOCS / "images").glob("*")}
    assert len(shown) >= 6
