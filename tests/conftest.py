"""Which tests may run beside each other: those of different groups."""

from __future__ import annotations

import pytest

SHARED = ("undisturbed", "lab")
"""Fixtures of the session that take a run of Ray: made by one process only."""


@pytest.hookimpl(tryfirst=True)  # before xdist writes the groups into the names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For ``--dist loadgroup``: a group is a file, or all that share a run.

    The shared runs come first, for groups are handed out in this order and theirs are
    long: a process that got one of them last would be waited for.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(shared_by(item) or file_of(item)))
    items.sort(key=lambda item: shared_by(item) is None)


def shared_by(item: pytest.Item) -> str | None:
    """The run that a test shares with others."""
    fixtures = getattr(item, "fixturenames", ())
    return next((name for name in SHARED if name in fixtures), None)


def file_of(item: pytest.Item) -> str:
    """Where the test stands."""
    return item.nodeid.partition("::")[0]
