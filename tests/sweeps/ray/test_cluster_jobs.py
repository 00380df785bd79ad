"""``ray job submit -- d2v run …``: exit code, flushed output, a stop that saves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ablations.mlflow_names import TRAINING_TAG
from tests.sweeps.command import TINY
from tests.sweeps.driver.long_run import LONG, all_trials, checkpoints, client
from tests.sweeps.ray.clusters import Host, hosts, needs_hosts, wait_for

JOB_SERVER = Path(sys.prefix) / "ray-default"
JOB_SERVER_VARIABLES = {
    "PYTHONPATH": str(JOB_SERVER),
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",  # nine processes import Ray
    "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "300",
}
pytestmark = [
    pytest.mark.thorough,
    needs_hosts,
    pytest.mark.skipif(
        not JOB_SERVER.exists(), reason="needs tests/sweeps/job_server.txt"
    ),
]
JOBS = ("--address", "http://127.0.0.1:8265")
D2V = ("--", sys.executable, "-m", "d2v_cli")
PATIENT = json.dumps({"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}})


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosts(tmp_path_factory.mktemp("jobs"), 1) as (host,):
        host.variables.update(JOB_SERVER_VARIABLES)
        host.head("--num-cpus", "2", dashboard=True)
        yield host


def job(verb: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "ray.scripts.scripts", "job", verb, *arguments)


def test_a_job_runs_a_study_and_gives_its_exit_code(host: Host) -> None:
    """The job's Ray address comes from its environment."""
    study = ("run", "layer_averaging", "--seeds", "1", "--set", "target.top_k=2", *TINY)
    storage = ("--storage", str(host.folder / "lab"))
    done = host.run(*job("submit", *JOBS, *D2V, *study, *storage))
    assert done.code == 0, done.out + done.err
    assert "3 trials trained (3 finished)" in done.out
    assert "succeeded" in done.out

    wrong = ("run", "layer_averaging", "--seeds", "0", *storage)
    done = host.run(*job("submit", *JOBS, *D2V, *wrong))
    assert done.code == 1
    assert "--seeds: must be a count of at least 1" in done.out
    assert "failed with exit code 2" in done.out + done.err


def test_a_stopped_job_saves_first(host: Host) -> None:
    long = (*LONG, "--storage", str(host.folder / "d2v-runs"))
    options = ("--submission-id", "long", "--runtime-env-json", PATIENT)
    submit = job("submit", *JOBS, *options, *D2V, *long)
    process = host.start(*submit, log="submit")
    wait_for(lambda: checkpoints(host.folder), process, host.log("submit"))
    stopped = host.run(*job("stop", *JOBS, "long"))
    assert "was stopped" in stopped.out + stopped.err
    process.wait(timeout=60)
    output = host.log("submit").read_text()
    assert "stopping: running trials save first" in output  # as it was said
    assert "the same command continues" in output
    trials = all_trials(client(host.folder))
    assert {trial.info.status for trial in trials} <= {"KILLED", "FINISHED"}
    killed = [trial for trial in trials if trial.info.status == "KILLED"]
    assert killed
    for trial in killed:
        training = trial.data.tags[TRAINING_TAG]
        folder = host.folder / "d2v-runs" / "checkpoints" / training
        assert torch.load(folder / "checkpoint.pt", weights_only=True)["step"] > 0
