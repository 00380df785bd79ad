"""Every mutation still has its place: a table that rots notices nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations.__main__ import ROOT, place
from tests.mutations.table import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_its_text_stands_once_and_its_tests_are_there(mutation: Mutation) -> None:
    assert place(mutation, ROOT).is_file()
    assert mutation.new != mutation.old
    assert mutation.tests
    for name in mutation.tests:
        assert Path(ROOT, name.partition("::")[0]).exists(), name


def test_there_are_as_many_as_ever() -> None:
    assert len(MUTATIONS) == len({m.name for m in MUTATIONS}) >= 42
