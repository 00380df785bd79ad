"""What the driver keeps of ended trials: nothing that grows with their number."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

from sweeps.ray.engine import reserved
from tests.sweeps.command import SECONDS, TINY, environment

NUM_TRIALS = 16
COUNTING = """
import gc, json
import d2v_cli
from sweeps import tune_callback

class Counting(tune_callback.ListenerCallback):
    def on_trial_complete(self, iteration, trials, trial, **info):
        super().on_trial_complete(iteration, trials, trial, **info)
        if len(self._ended) >= 14:
            gc.collect()
            names = ["Trial", "TrackedActor", "LocalArtifactRepository"]
            alive = [type(o).__name__ for o in gc.get_objects()]
            counts.update({name: alive.count(name) for name in names})

counts = {}
tune_callback.ListenerCallback = Counting
try:
    d2v_cli.main()
except SystemExit as end:
    print(json.dumps([end.code, counts]))
"""


def test_ended_trials_leave_nothing_in_the_driver(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "{name: many, title: Many, arms: [{name: two, set: {target.top_k: 2}}],"
        " metric: {vision: linear_accuracy}}"
    )
    arguments = ("run", "study.yaml", "--seeds", str(NUM_TRIALS), *TINY)
    one_at_a_time = f"--set=execution.num_threads={os.cpu_count()}"
    done = subprocess.run(
        [sys.executable, "-c", COUNTING, *arguments, one_at_a_time],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    code, alive = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    # One runs, the next waits its turn, and the study has a repository of its own.
    assert max(alive.values()) <= 6, alive
    assert alive["Trial"] >= 1, "else it counts something else"


def test_what_tune_reads_for_every_trial_is_a_name() -> None:
    assert len(pickle.dumps(reserved)) < 100
