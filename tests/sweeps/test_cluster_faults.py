"""A node of a cluster dies: its trials move to another and continue where they were."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from tests.sweeps.clusters import hosts, lose, needs_hosts, wait_for
from tests.sweeps.command import d2v
from tests.sweeps.long_run import LONG, checkpoints, client, results

ONE_CPU = ("--num-cpus", "1")


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    """Of all runs in the storage, in order."""
    files = sorted(folder.glob("d2v-runs/events/*.jsonl"))
    lines = [json.loads(line) for f in files for line in f.read_text().splitlines()]
    return [line for line in lines if line["event"] == name]


def num_in_the_middle(folder: Path) -> int:
    """Trials whose checkpoint lies between the first and the last update."""
    found = 0
    for file in checkpoints(folder):
        try:
            step = torch.load(file, weights_only=True)["step"]
        except OSError:  # its trial has just ended
            continue
        found += 0 < step < 300
    return found


@needs_hosts
def test_trials_of_a_lost_node_continue_on_another(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert d2v(undisturbed, *LONG).code == 0
    with hosts(tmp_path, 1) as (host,):
        host.head(*ONE_CPU)
        other = host.join(host, *ONE_CPU, log="other")
        command = (sys.executable, "-m", "d2v_cli", *LONG, "--address", host.ray)
        run = host.start(*command, log="run")
        wait_for(lambda: num_in_the_middle(host.folder) == 2, run, host.log("run"))
        lose(other)
        assert run.wait(timeout=240) == 0, host.log("run").read_text()
    assert results(client(host.folder)) == results(client(undisturbed))

    started = Counter(event["key"] for event in events(host.folder, "trial_started"))
    assert sorted(started.values()) == [1, 1, 2]
    [moved] = [key for key, times in started.items() if times == 2]
    steps = [
        e["step"] for e in events(host.folder, "trial_started") if e["key"] == moved
    ]
    assert steps[0] == 0
    assert steps[1] > 0
    assert len(events(host.folder, "trial_ended")) == 3
    assert not checkpoints(host.folder)
