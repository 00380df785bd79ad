"""What all tests share: a cache of data sets, and groups that run beside each other."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from itertools import zip_longest

import pytest

SHARED = "lab"
"""A fixture of the session that takes a run of Ray: made by one process only."""
WAITED_FOR = "undisturbed"
"""Another, for which one process waits while the other makes it."""


def pytest_configure(config: pytest.Config) -> None:
    """Point every test and its processes to one new cache, never to the user's.

    Spoken digits take seconds to make, and a cache of its own would make each test pay.
    """
    if not hasattr(config, "workerinput"):  # the processes of xdist inherit it
        os.environ["D2V_CACHE"] = folder = tempfile.mkdtemp(prefix="d2v-cache-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(tryfirst=True)  # before xdist writes the groups into the names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For ``--dist loadgroup``: say which tests run in the same process.

    Long ones come first, for groups are handed out in this order: a process that got
    one of them last would be waited for. Of the two processes, which take turns at the
    beginning, one makes what several long tests compare with; the other trains what
    does not need it.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.thorough)
    items.sort(key=lambda item: not is_long(item))
    waiting = [item for item in items if WAITED_FOR in fixtures(item)]
    others = [item for item in items if WAITED_FOR not in fixtures(item)]
    pairs = zip_longest(waiting[:2], others[:2])
    first = [item for pair in pairs for item in pair if item is not None]
    items[:] = [*first, *waiting[2:], *others[2:]]


def group(item: pytest.Item) -> str:
    """A file, all that share a run, or a long test that shares nothing."""
    if SHARED in fixtures(item):
        return SHARED
    return item.nodeid if is_long(item) else item.nodeid.partition("::")[0]


def is_long(item: pytest.Item) -> bool:
    """Whether it takes a minute or more, most of it the starts of Ray."""
    long = item.get_closest_marker("long") is not None
    return long or bool({SHARED, WAITED_FOR} & set(fixtures(item)))


def fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())
