"""``docs/extending.md`` has every kind, as the code wants it, and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from d2v_core.own.kinds import KINDS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`((?:d2v_core|examples|tests)/[\w./]+)`", TEXT)))
SECTIONS = {
    part.splitlines()[0]: part for part in re.split(r"^### ", TEXT, flags=re.M)[1:]
}


@pytest.mark.parametrize("file", FILES)
def test_each_file_named_exists(file: str) -> None:
    assert (ROOT / file).is_file()


def test_each_example_is_named_and_each_kind_has_a_section() -> None:
    there = {f"examples/{f.name}" for f in (ROOT / "examples").iterdir() if f.is_file()}
    assert there == {file for file in FILES if file.startswith("examples/")}
    assert set(SECTIONS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_says_what_is_wanted_and_which_test_to_copy(kind: str) -> None:
    section = SECTIONS[kind]
    assert f"`{KINDS[kind].call('f')}`" in section
    tests = re.findall(r"tests/examples/test_\w+\.py", section)
    assert tests
    examples = re.findall(r"`examples/(\w+)\.py`", section)
    for example in examples:
        assert any(f"{example}.py:" in (ROOT / test).read_text() for test in tests)
