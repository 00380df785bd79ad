"""Processes are killed for real; the same command then ends like an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from ablations.mlflow_names import TRAINING_TAG, TRIES_TAG
from tests.sweeps.command import d2v
from tests.sweeps.conftest import Undisturbed
from tests.sweeps.driver.long_run import (
    LONG,
    NUM_STEPS,
    all_trials,
    alone,
    checkpoints,
    client,
    events,
    num_in_the_middle,
    results,
    running,
    starts,
    trials_so_far,
    wait_until,
    workers_of,
)
from tests.sweeps.warm import Running

pytestmark = pytest.mark.thorough
OFTEN = ("--set", "execution.checkpoint_every_seconds=0.2")


def test_a_killed_and_a_frozen_worker_go_on_from_their_checkpoints(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    limit = ("--set", "execution.silence_seconds=30")
    with running(tmp_path, *LONG, *limit) as run:
        wait_until(lambda: num_in_the_middle(tmp_path) == 2, run)
        workers = workers_of(run)
        assert len(workers) == 2
        for worker, how in zip(workers, (signal.SIGSTOP, signal.SIGKILL), strict=True):
            os.kill(worker, how)
        output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    assert results(client(tmp_path)) == undisturbed.results
    again = [steps[1:] for steps in starts(tmp_path).values() if len(steps) > 1]
    assert len(again) == 2
    assert min(min(steps) for steps in again) > 0
    assert len(events(tmp_path, "trial_ended")) == 3


def test_a_trial_survives_one_fault_after_another(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    """The last command, of a study that shares the trial, ends like the undisturbed."""
    key = process_dies_three_times(tmp_path)
    saved = one_interrupt_saves(tmp_path, key)
    saved = two_interrupts_stop_at_once(tmp_path, key, saved)
    with running(tmp_path, *LONG, *OFTEN) as killed:
        ended = driver_is_killed(killed, tmp_path, key, saved)
        before = starts(tmp_path)
        again = d2v(tmp_path, *LONG)
        assert again.code == 0, again.out + again.err
        assert not workers_of(killed)  # they, and Ray, end by themselves
    assert results(client(tmp_path)) == undisturbed.results
    assert not checkpoints(tmp_path)
    later = {k: s[len(before.get(k, [])) :] for k, s in starts(tmp_path).items()}
    assert max(step for steps in later.values() for step in steps) > 0
    assert not any(later[done] for done in ended)
    tried = {t.data.tags["d2v.key"]: t for t in all_trials(client(tmp_path))}[key]
    assert [t["status"] for t in json.loads(tried.data.tags[TRIES_TAG])] == ["failed"]


def process_dies_three_times(folder: Path) -> str:
    """Then the trial has failed; its key."""
    with running(folder, *alone(folder)) as run:
        wait_until(lambda: events(folder, "run_started"), run)
        (key,) = events(folder, "run_started")[0]["trials"]
        for attempt in (1, 2, 3):
            wait_until(lambda n=attempt: len(starts(folder).get(key, [])) == n, run)
            for worker in workers_of(run):
                os.kill(worker, signal.SIGKILL)
        output, _ = run.communicate(timeout=240)
    assert run.returncode == 1, output
    assert f"failed: {key}: the worker process died 3 times" in output
    assert "Traceback" not in output
    return key


def one_interrupt_saves(folder: Path, key: str) -> int:
    """The update at which the next run goes on."""
    with running(folder, *alone(folder), *OFTEN) as run:
        wait_until(lambda: saved_step(folder, key) > 0, run)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to Ray's processes too
        output, _ = run.communicate(timeout=240)
    assert run.returncode == 1, output
    assert "running trials save first" in output
    assert "the same command continues" in output
    assert "Traceback" not in output
    store = client(folder)
    (trial,) = all_trials(store)
    assert trial.info.status == "KILLED"
    curve = store.get_metric_history(trial.info.run_id, "train/loss")
    step = saved_step(folder, key)
    assert step == max(point.step for point in curve)
    return step


def two_interrupts_stop_at_once(folder: Path, key: str, saved: int) -> int:
    """And leave a consistent store; the update at which the next run goes on."""
    with running(folder, *alone(folder), *OFTEN) as run:
        wait_until(lambda: saved_step(folder, key) > saved, run)
        assert starts(folder)[key][-1] == saved
        run.send_signal(signal.SIGINT)
        wait_until(lambda: list(folder.glob("d2v-runs/stops/*")), run)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=240)
    assert run.returncode == 1, output
    assert "Traceback" not in output
    assert "RUNNING" not in run_states(folder)
    return saved_step(folder, key)


def driver_is_killed(run: Running, folder: Path, key: str, saved: int) -> set[str]:
    """In the middle of the trial; those that had ended before."""
    wait_until(lambda: saved_step(folder, key) > saved, run)
    wait_until(lambda: "RUNNING" in run_states(folder), run)
    run.kill()
    run.wait()
    assert "RUNNING" in run_states(folder)
    return {event["key"] for event in events(folder, "trial_ended")} - {key}


def saved_step(folder: Path, key: str) -> int:
    """The update of a trial's checkpoint; 0 without one, or at the end.

    It lies under the key of the training, which the trial's configuration tells.
    """
    trials = {t.data.tags["d2v.key"]: t for t in trials_so_far(folder)}
    if key not in trials:
        return 0
    training = trials[key].data.tags[TRAINING_TAG]
    file = folder / "d2v-runs" / "checkpoints" / training / "checkpoint.pt"
    try:
        step = int(torch.load(file, weights_only=True)["step"])
    except OSError:
        return 0
    return step if step < NUM_STEPS else 0


def run_states(folder: Path) -> set[str]:
    return {trial.info.status for trial in trials_so_far(folder)}


def test_two_runs_beside_each_other_train_nothing_twice(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    """Two studies: one shares two of its four trials with the other."""
    with running(tmp_path, *LONG) as run:
        wait_until(lambda: (tmp_path / "d2v-runs" / "trials.lock").exists(), run)
        with running(tmp_path, "run", "target_feature", *LONG[2:]) as other:
            outputs = [p.communicate(timeout=240)[0] for p in (run, other)]
    assert (run.returncode, other.returncode) == (0, 0), outputs
    ended = [event["key"] for event in events(tmp_path, "trial_ended")]
    assert len(ended) == len(set(ended)) == 5
    found = results(client(tmp_path))
    assert {key: found[key] for key in undisturbed.results} == undisturbed.results
    tags = [trial.data.tags for trial in all_trials(client(tmp_path))]
    studies = ("d2v.study.layer_averaging", "d2v.study.target_feature")
    shared = [t["d2v.kind"] for t in tags if all(study in t for study in studies)]
    assert sorted(shared) == ["data2vec 300", "untrained 300"]
