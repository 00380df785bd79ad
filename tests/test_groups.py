"""Tests that share a run of Ray are run by one process: pytest and xdist agree."""

from __future__ import annotations

import pytest


def test_groups_reach_the_scheduler(request: pytest.FixtureRequest) -> None:
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("run without --dist loadgroup: one process does all")
    assert request.node.nodeid.endswith("@tests/test_groups.py")
