"""Workers that Ray ends for lack of memory: a status of their trials, no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeps.command import d2v
from tests.sweeps.driver.long_run import all_trials, alone, client

pytestmark = pytest.mark.thorough


def test_workers_that_ray_ends_for_lack_of_memory(tmp_path: Path) -> None:
    """With a threshold of 1 % every worker is one too many, each time it starts."""
    strict = {
        "RAY_memory_usage_threshold": "0.01",
        "RAY_memory_monitor_refresh_ms": "200",
    }
    done = d2v(tmp_path, *alone(tmp_path), **strict)
    assert done.code == 1, done.out + done.err
    assert "Traceback" not in done.out + done.err
    reason = "the worker process died 3 times: Ray ends processes before the machine"
    (trial,) = all_trials(client(tmp_path))
    assert trial.data.tags["d2v.status"] == "out_of_memory"
    assert trial.data.tags.get("d2v.reason", "").startswith(reason)
    assert f"out_of_memory: {trial.data.tags['d2v.key']}: {reason}" in done.out
