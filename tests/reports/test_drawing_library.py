"""The drawing library of the pages is made once per machine; a page needs no cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.page import templating


def library() -> str:
    """As a new process gets it."""
    templating._drawing_library.cache_clear()
    return templating._drawing_library()


def test_it_is_made_once_and_anew_where_it_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def joined(code: str) -> str:
        made.append(code)
        return f"const whole = 1; {code}"

    monkeypatch.setenv("D2V_CACHE", str(tmp_path))
    monkeypatch.setattr(templating.vl_convert, "javascript_bundle", joined)
    first = library()
    assert "vegaEmbed" in first
    assert library() == first
    assert len(made) == 1
    (file,) = tmp_path.glob("drawing-library/*.js")
    file.write_text(first[:-1])
    assert library() == first
    assert len(made) == 2
    templating._drawing_library.cache_clear()  # the next test draws a real page


def test_a_page_needs_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("D2V_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(templating.vl_convert, "javascript_bundle", lambda code: code)
    assert "vegaEmbed" in library()
    templating._drawing_library.cache_clear()
