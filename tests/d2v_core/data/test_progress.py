import pytest

from d2v_core.data import progress
from d2v_core.data.progress import with_progress


@pytest.fixture
def lines(monkeypatch):
    """What is said."""
    said = []
    monkeypatch.setattr(progress.LOGGER, "info", lambda text, *a: said.append(text % a))
    return said


def test_what_takes_long_says_how_far_it_is(lines, monkeypatch):
    seconds = iter(range(1_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    assert list(with_progress(range(60), "decoding", 60, "images")) == list(range(60))
    assert lines[0] == "decoding 60 images … 3 %, about 0:58 left"
    assert len(lines) == 6


def test_what_is_done_at_once_says_nothing(lines):
    assert list(with_progress("abc", "reading", 3, "files")) == ["a", "b", "c"]
    assert lines == []
