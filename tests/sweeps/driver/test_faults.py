"""Processes are killed for real; the same command then ends like an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.mlflow_names import TRIES_TAG
from tests.sweeps.command import d2v
from tests.sweeps.driver.long_run import (
    LONG,
    all_trials,
    checkpoints,
    client,
    end_ray_of,
    events,
    num_in_the_middle,
    results,
    start,
    starts,
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
    wait_until(lambda: num_in_the_middle(tmp_path) and workers_of(run), run)
    for worker in workers_of(run):
        os.kill(worker, signal.SIGKILL)
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    assert results(client(tmp_path)) == undisturbed
    later = [step for steps in starts(tmp_path).values() for step in steps[1:]]
    assert len(later) >= 1
    assert max(later) > 0
    assert len(events(tmp_path, "trial_ended")) == 3


def test_a_frozen_worker_is_ended_and_its_trial_goes_on_from_its_checkpoint(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    run = start(tmp_path, *LONG, "--set", "execution.silence_seconds=15")
    session = os.getsid(run.pid)
    try:
        wait_until(lambda: num_in_the_middle(tmp_path) and workers_of(run), run)
        for worker in workers_of(run):
            os.kill(worker, signal.SIGSTOP)
        output, _ = run.communicate(timeout=240)
        assert run.returncode == 0, output
    finally:
        run.kill()
        end_ray_of(session)
    assert results(client(tmp_path)) == undisturbed
    assert max(step for steps in starts(tmp_path).values() for step in steps[1:]) > 0


def test_a_trial_whose_process_dies_three_times_has_failed(
    tmp_path: Path, run: subprocess.Popen[str], undisturbed: dict[str, Any]
) -> None:
    wait_until(lambda: events(tmp_path, "run_started"), run)
    planned = events(tmp_path, "run_started")[0]["trials"]
    (key,) = [k for k, trial in planned.items() if trial["arm"] == "K=2"]
    for attempt in (1, 2, 3):
        wait_until(lambda n=attempt: len(starts(tmp_path).get(key, [])) == n, run)
        for worker in workers_of(run):
            os.kill(worker, signal.SIGKILL)
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 1, output
    assert f"failed: {key}: the worker process died 3 times" in output
    assert "Traceback" not in output

    again = d2v(tmp_path, *LONG)
    assert again.code == 0, again.out + again.err
    assert results(client(tmp_path)) == undisturbed
    (tried,) = [
        t for t in all_trials(client(tmp_path)) if t.data.tags["d2v.key"] == key
    ]
    assert [t["status"] for t in json.loads(tried.data.tags[TRIES_TAG])] == ["failed"]


def test_after_a_killed_driver_the_same_command_continues(
    tmp_path: Path, run: subprocess.Popen[str], undisturbed: dict[str, Any]
) -> None:
    wait_until(lambda: num_in_the_middle(tmp_path), run)
    wait_until(lambda: "RUNNING" in run_states(tmp_path), run)
    run.kill()  # Ray, and the workers, end by themselves
    run.wait()
    assert "RUNNING" in run_states(tmp_path)
    ended = {event["key"] for event in events(tmp_path, "trial_ended")}

    again = d2v(tmp_path, *LONG)
    assert again.code == 0, again.out + again.err
    assert results(client(tmp_path)) == undisturbed
    assert not checkpoints(tmp_path)
    begun = starts(tmp_path)
    assert max(steps[-1] for steps in begun.values()) > 0
    assert all(len(begun[key]) == 1 for key in ended)


def run_states(folder: Path) -> set[str]:
    return {trial.info.status for trial in trials_so_far(folder)}


def test_one_interrupt_saves_and_the_next_run_goes_on_there(
    tmp_path: Path, run: subprocess.Popen[str], undisturbed: dict[str, Any]
) -> None:
    wait_until(lambda: num_in_the_middle(tmp_path), run)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to Ray's processes too
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
    wait_until(lambda: num_in_the_middle(tmp_path), run)
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
    """Of two studies: one shares two of its four trials with the other."""
    wait_until(lambda: (tmp_path / "d2v-runs" / "trials.lock").exists(), run)
    other = start(tmp_path, "run", "target_feature", *LONG[2:])
    try:
        outputs = [process.communicate(timeout=240)[0] for process in (run, other)]
    finally:
        other.kill()
        other.communicate()
    assert (run.returncode, other.returncode) == (0, 0), outputs
    ended = [event["key"] for event in events(tmp_path, "trial_ended")]
    assert len(ended) == len(set(ended)) == 5
    found = results(client(tmp_path))
    assert {key: found[key] for key in undisturbed} == undisturbed
    tags = [trial.data.tags for trial in all_trials(client(tmp_path))]
    studies = ("d2v.study.layer_averaging", "d2v.study.target_feature")
    shared = [t["d2v.kind"] for t in tags if all(study in t for study in studies)]
    assert sorted(shared) == ["data2vec 300", "untrained 300"]
