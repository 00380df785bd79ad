"""Processes are killed for real; the same command then ends like an undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.sweeps.command import d2v
from tests.sweeps.long_run import (
    LONG,
    all_trials,
    checkpoints,
    client,
    end_ray_of,
    results,
    start,
    trials_so_far,
    wait_until,
    workers_of,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = d2v(folder, *LONG)
    assert done.code == 0, done.out + done.err
    found = results(client(folder))
    assert len(found) == 3
    return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(tmp_path, *LONG)
    session = os.getsid(process.pid)
    yield process
    process.kill()
    process.communicate()
    end_ray_of(session)


def test_a_killed_worker_goes_on_from_its_checkpoint(
    tmp_path: Path, run: subprocess.Popen[str], undisturbed: dict[str, Any]
) -> None:
    wait_until(lambda: checkpoints(tmp_path) and workers_of(run), run)
    for worker in workers_of(run):
        os.kill(worker, signal.SIGKILL)
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    assert results(client(tmp_path)) == undisturbed


def test_after_a_killed_driver_the_same_command_continues(
    tmp_path: Path, run: subprocess.Popen[str], undisturbed: dict[str, Any]
) -> None:
    wait_until(lambda: checkpoints(tmp_path), run)
    wait_until(lambda: "RUNNING" in run_states(tmp_path), run)
    session = os.getsid(run.pid)
    run.kill()
    run.wait()
    end_ray_of(session)
    assert "RUNNING" in run_states(tmp_path)

    again = d2v(tmp_path, *LONG)
    assert again.code == 0, again.out + again.err
    assert results(client(tmp_path)) == undisturbed
    assert not checkpoints(tmp_path)


def run_states(folder: Path) -> set[str]:
    return {trial.info.status for trial in trials_so_far(folder)}


def test_one_interrupt_saves_and_the_next_run_goes_on_there(
    tmp_path: Path, run: subprocess.Popen[str], undisturbed: dict[str, Any]
) -> None:
    wait_until(lambda: checkpoints(tmp_path), run)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1, output
    assert "running trials save first" in output
    assert "the same command continues" in output
    assert "Traceback" not in output
    store = client(tmp_path)
    assert run_states(tmp_path) <= {"KILLED", "FINISHED"}
    for trial in all_trials(store):
        if trial.info.status == "KILLED":
            curve = store.get_metric_history(trial.info.run_id, "train/loss")
            folder = tmp_path / "d2v-runs" / "checkpoints" / trial.data.tags["d2v.key"]
            saved = torch.load(folder / "checkpoint.pt", weights_only=True)
            assert saved["step"] == max(point.step for point in curve)

    again = d2v(tmp_path, *LONG)
    assert again.code == 0, again.out + again.err
    assert results(store) == undisturbed


def test_two_interrupts_stop_at_once_and_leave_a_consistent_store(
    tmp_path: Path, run: subprocess.Popen[str], undisturbed: dict[str, Any]
) -> None:
    wait_until(lambda: checkpoints(tmp_path), run)
    run.send_signal(signal.SIGINT)
    wait_until(lambda: list(tmp_path.glob("d2v-runs/stops/*")), run)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 1, output
    assert "Traceback" not in output
    assert "RUNNING" not in run_states(tmp_path)

    again = d2v(tmp_path, *LONG)
    assert again.code == 0, again.out + again.err
    assert results(client(tmp_path)) == undisturbed


def test_two_runs_beside_each_other_train_nothing_twice(
    tmp_path: Path, run: subprocess.Popen[str], undisturbed: dict[str, Any]
) -> None:
    wait_until(lambda: (tmp_path / "d2v-runs" / "trials.lock").exists(), run)
    other = start(tmp_path, *LONG)
    try:
        outputs = [process.communicate(timeout=240)[0] for process in (run, other)]
    finally:
        other.kill()
        other.communicate()
    assert (run.returncode, other.returncode) == (0, 0), outputs
    trained = [line for text in outputs for line in text.splitlines()]
    ended = [line.partition(":")[0] for line in trained if ": finished" in line]
    assert sorted(ended) == [
        "K=2 · seed 0",
        "supervised · seed 0",
        "untrained · seed 0",
    ]
    assert results(client(tmp_path)) == undisturbed
