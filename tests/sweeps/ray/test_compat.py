"""What is lost with each private name of Ray, and that a study ends well without them.

A name is taken away by asking Ray for one that it does not have.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.train.torch import TorchConfig

from sweeps.ray import compat
from tests.sweeps.command import SECONDS, TINY, Done, environment
from tests.sweeps.driver.long_run import all_trials, client, events

STUDY = """
name: small
title: One arm
arms: [{name: two, set: {target.top_k: 2}}]
metric: {vision: linear_accuracy}
"""
GONE = """
from sweeps.ray import compat
for name in ("ACTOR", "RESTARTS", "ERROR_FILE"):
    setattr(compat, name, "gone")
compat.ACTOR_MANAGER = "ray.gone:RayActorManager"
compat.ON_LOOPBACK.clear()
compat.NO_IDLE_WORKERS.clear()
compat.NO_GPU_UNLESS_RESERVED.clear()
compat.JOB_CONFIG = "GONE"
compat.KILL = "gone"
import d2v_cli
d2v_cli.main()
"""
GONE_IN_WORKERS = """
from sweeps.ray import engine

run_packed = engine.run_packed

def without(config):
    from sweeps.ray import compat
    compat.BACKEND = "gone"
    run_packed(config)

engine.run_packed = without
import d2v_cli
d2v_cli.main()
"""
WAITED_FOR = "a process that stops showing that it runs is waited for, not ended"
ENDS_THE_RUN = "a process that it ends for lack of memory ends the whole run"
LONGER = "it takes some seconds longer to end"
OPEN_PORT = "a trial's processes meet on a port open to other machines"


def run(folder: Path, code: str, *settings: str) -> Done:
    """The study with other code in front of ``d2v``."""
    (folder / "study.yaml").write_text(STUDY)
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "study.yaml", *TINY, *settings],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def check_ended_well(folder: Path, done: Done, num_trials: int) -> None:
    assert done.code == 0, done.out + done.err
    assert "Traceback" not in done.out + done.err
    statuses = [t.data.tags["d2v.status"] for t in all_trials(client(folder))]
    assert statuses == ["finished"] * num_trials


def said(folder: Path, done: Done) -> list[str]:
    """Lines about names that are gone; each is in the event log too."""
    begins = "Ray 2"
    lines = [line for line in done.out.splitlines() if line.startswith(begins)]
    logged = [event["text"] for event in events(folder, "message")]
    assert [text for text in logged if text.startswith(begins)] == lines
    return sorted(line.partition(" has changed inside: ")[2] for line in lines)


@pytest.mark.thorough
def test_a_study_ends_well_without_the_drivers_names(tmp_path: Path) -> None:
    done = run(tmp_path, GONE, "--seeds=2")
    check_ended_well(tmp_path, done, num_trials=2)
    lines = said(tmp_path, done)
    assert lines[:2] == [ENDS_THE_RUN, WAITED_FOR]
    assert lines[-1] == LONGER
    if len(lines) > 3:  # else this machine has no other address
        assert lines[2].startswith("it listens beyond loopback, on ")
    assert len(lines) <= 4


@pytest.mark.thorough
def test_two_processes_train_a_trial_without_the_name_of_their_meeting(
    tmp_path: Path,
) -> None:
    two = (
        "--seeds=1",
        "--set=execution.num_workers=2",
        "--set=execution.num_threads=1",
    )
    done = run(tmp_path, GONE_IN_WORKERS, *two)
    check_ended_well(tmp_path, done, num_trials=1)
    assert said(tmp_path, done) == [OPEN_PORT]


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.mark.parametrize(
    "changed",
    [
        {"ACTOR_MANAGER": "ray.gone:RayActorManager"},
        {"ACTOR_MANAGER": "ray.air.execution._internal.actor_manager:Gone"},
        {"FAILURE_HANDLERS": ("_actor_task_failed", "gone")},
    ],
)
def test_tunes_handlers_are_left_alone_if_one_is_gone(
    monkeypatch: pytest.MonkeyPatch, heard: list[str], changed: dict[str, Any]
) -> None:
    from ray.air.execution._internal.actor_manager import RayActorManager

    before = RayActorManager._actor_task_failed
    for name, value in changed.items():
        monkeypatch.setattr(compat, name, value)
    with _translated(heard):
        assert RayActorManager._actor_task_failed is before
    assert [line.partition(": ")[2] for line in heard] == [ENDS_THE_RUN]


def test_tunes_handlers_are_put_back(heard: list[str]) -> None:
    from ray.air.execution._internal.actor_manager import RayActorManager

    before = RayActorManager._actor_task_failed
    with _translated(heard):
        assert RayActorManager._actor_task_failed is not before
    assert RayActorManager._actor_task_failed is before
    assert not heard


def _translated(heard: list[str]) -> AbstractContextManager[None]:
    return compat.translated_failures(lambda argument: argument, heard.append)


@pytest.mark.parametrize(
    ("ask", "answer", "line"),
    [
        (compat.can_end_worker, False, WAITED_FOR),
        (compat.grant_restart, None, "a trial whose node is lost has a restart less"),
        (
            compat.last_error,
            None,
            "a process ended for lack of memory looks like one that was killed",
        ),
    ],
)
def test_a_trial_of_tune_without_a_name_is_left_alone(
    heard: list[str], ask: Callable[..., Any], answer: object, line: str
) -> None:
    trial = SimpleNamespace(trial_id="a", temporary_state=SimpleNamespace())
    assert ask(trial, heard.append) is answer
    assert [text.partition(": ")[2] for text in heard] == [line]
    assert vars(trial).keys() == {"trial_id", "temporary_state"}


def test_addresses_beyond_loopback_are_told(heard: list[str]) -> None:
    compat.expect_loopback(["127.0.0.1"], heard.append)
    assert not heard
    compat.expect_loopback(["127.0.0.1", "10.0.0.5"], heard.append)
    (line,) = heard
    assert "beyond loopback, on 10.0.0.5; its token is still asked" in line


def test_workers_are_left_to_meet_by_themselves_where_that_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = compat.meeting_left_to_workers(TorchConfig)(timeout_s=7)
    assert (isinstance(config, TorchConfig), config.timeout_s) == (True, 7)
    config.backend_cls().on_start(None, config)  # asks nobody for a port
    monkeypatch.setattr(compat, "BACKEND", "gone")
    assert compat.meeting_left_to_workers(TorchConfig) is TorchConfig
