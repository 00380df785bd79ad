"""SIGTERM to the driver or to its whole process group, as batch systems send it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ablations.mlflow_names import SEED_TAG, TRAINING_TAG
from tests.sweeps.command import TINY, d2v, environment
from tests.sweeps.driver.long_run import (
    LONG,
    all_trials,
    client,
    end_ray_of,
    num_in_the_middle,
    start,
    wait_until,
)
from tests.sweeps.warm import Running


@pytest.fixture(scope="module")
def existing_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store holds a trial of another study already.

    With an existing store Ray starts after the driver's handlers are set.
    """
    folder = tmp_path_factory.mktemp("existing")
    done = d2v(
        folder, "run", "layer_averaging", "--seeds", "1", "--set=target.top_k=1", *TINY
    )
    assert done.code == 0, done.out + done.err
    return folder


def to_driver(run: Running) -> None:
    run.send_signal(signal.SIGTERM)


def to_group(run: Running) -> None:
    """As ``scancel``, ``timeout`` and systemd do: Ray's processes get it too."""
    os.killpg(run.pid, signal.SIGTERM)


@pytest.mark.thorough
@pytest.mark.parametrize("send", [to_driver, to_group])
def test_sigterm_saves_and_ends_with_the_closing_lines(
    existing_store: Path, send: Callable[[Running], None]
) -> None:
    seed = "7," if send is to_driver else "8,"
    shutil.rmtree(existing_store / "d2v-runs" / "checkpoints", ignore_errors=True)
    run = start(existing_store, *LONG, "--seeds", seed)
    try:
        wait_until(lambda: num_in_the_middle(existing_store), run)
        send(run)
        output, _ = run.communicate(timeout=120)
    finally:
        end_ray_of(run.pid)
    assert run.returncode == 1, output
    assert "running trials save first" in output
    assert "the same command continues" in output
    assert "Traceback" not in output
    trials = all_trials(client(existing_store))
    assert "RUNNING" not in {trial.info.status for trial in trials}
    of_seed = [trial for trial in trials if trial.data.tags[SEED_TAG] in seed]
    killed = [trial for trial in of_seed if trial.info.status == "KILLED"]
    assert killed
    for trial in killed:
        training = trial.data.tags[TRAINING_TAG]
        folder = existing_store / "d2v-runs" / "checkpoints" / training
        assert torch.load(folder / "checkpoint.pt", weights_only=True)["step"] > 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_a_verb_that_trains_in_this_process_ends_quietly(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "d2v_cli", "train", "vision-smoke"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    while "parameters" not in run.stdout.readline():
        assert run.poll() is None
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == code
    assert "Traceback" not in errors


def test_a_closed_pipe_ends_a_verb_quietly(tmp_path: Path) -> None:
    command = f"{sys.executable} -m d2v_cli schema | head -c 10"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert len(done.stdout) == 10
    assert done.stderr == ""
