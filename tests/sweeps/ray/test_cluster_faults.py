"""A node of a cluster dies: its trials move to another and continue where they were."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.sweeps.conftest import Undisturbed
from tests.sweeps.driver.long_run import (
    LONG,
    checkpoints,
    client,
    events,
    num_in_the_middle,
    results,
    starts,
)
from tests.sweeps.ray.clusters import hosts, lose, needs_hosts, wait_for

ONE_CPU = ("--num-cpus", "1")


@pytest.mark.thorough
@needs_hosts
def test_trials_of_a_lost_node_continue_on_another(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    with hosts(tmp_path, 1) as (host,):
        host.head(*ONE_CPU)
        other = host.join(host, *ONE_CPU, log="other")
        command = (sys.executable, "-m", "d2v_cli", *LONG, "--address", host.ray)
        run = host.start(*command, log="run")
        wait_for(lambda: num_in_the_middle(host.folder) == 2, run, host.log("run"))
        lose(other)
        assert run.wait(timeout=240) == 0, host.log("run").read_text()
    assert results(client(host.folder)) == undisturbed.results

    begun = starts(host.folder)
    assert sorted(map(len, begun.values())) == [1, 1, 2]
    [steps] = [steps for steps in begun.values() if len(steps) == 2]
    assert steps[0] == 0
    assert steps[1] > 0
    assert len(events(host.folder, "trial_ended")) == 3
    assert not checkpoints(host.folder)
