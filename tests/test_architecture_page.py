"""``docs/architecture.md`` names files and functions that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = ("d2v_core", "ablations", "sweeps", "reports", "d2v_cli", "tests")
PATHS = re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./]*)`", TEXT)
NAMED = re.findall(r"`([\w/]+\.py)` `(\w+)`", TEXT)


def test_the_page_names_enough_to_be_checked() -> None:
    assert len(set(PATHS)) > 40
    assert len(NAMED) > 15
    assert TEXT.count("\n| a") >= 10


@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_each_file_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_each_function_named_is_in_its_file(path: str, name: str) -> None:
    code = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(def|class) {name}\b|^{name}\b.*=", code, re.MULTILINE)


def test_each_folder_says_what_lives_there() -> None:
    folders = [
        file.parent for room in ROOMS[:5] for file in (ROOT / room).rglob("*.py")
    ]
    assert len(set(folders)) > 30
    for folder in set(folders):
        assert (folder / "__init__.py").read_text().startswith('"""'), folder
