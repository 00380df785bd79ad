"""What all tests share: a cache of data sets, and groups that run beside each other."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

SHARED = ("undisturbed", "lab")
"""Fixtures of the session that take a run of Ray: made by one process only."""


def pytest_configure(config: pytest.Config) -> None:
    """Point every test and its processes to one new cache, never to the user's.

    Spoken digits take seconds to make, and a cache of its own would make each test pay.
    """
    if not hasattr(config, "workerinput"):  # the processes of xdist inherit it
        os.environ["D2V_CACHE"] = folder = tempfile.mkdtemp(prefix="d2v-cache-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(tryfirst=True)  # before xdist writes the groups into the names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For ``--dist loadgroup``: a group is a file, or all that share a run.

    The shared runs come first, for groups are handed out in this order and theirs are
    long: a process that got one of them last would be waited for.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(shared_by(item) or file_of(item)))
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.thorough)
    items.sort(key=lambda item: shared_by(item) is None)


def shared_by(item: pytest.Item) -> str | None:
    """The run that a test shares with others."""
    fixtures = getattr(item, "fixturenames", ())
    return next((name for name in SHARED if name in fixtures), None)


def file_of(item: pytest.Item) -> str:
    """Where the test stands."""
    return item.nodeid.partition("::")[0]
