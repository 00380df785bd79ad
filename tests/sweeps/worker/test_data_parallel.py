"""Two workers of Ray Train give what one process gives, also when one is killed."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from ablations.record import Record
from d2v_cli.app import app
from d2v_cli.train import train
from d2v_core.errors import ConfigError
from d2v_core.training.parallel import Workers
from sweeps.plan.resources import Node, bundles, num_at_once, resource_problems
from sweeps.worker.data_parallel import EndedError, follow, lead, pass_on
from sweeps.worker.spool import Spool
from tests.d2v_core.small import small_trial
from tests.sweeps.command import d2v
from tests.sweeps.driver.long_run import (
    all_trials,
    client,
    end_ray_of,
    results,
    start,
    wait_until,
)
from tests.sweeps.worker.test_trial import job

GOOD = {"name": "good", "set": {"teacher.tau": {"kind": "constant", "value": 0.99}}}
DIVERGED = {"name": "diverged", "set": {"optimizer.learning_rate": 1e30}}
RUN = (
    *("run", "study.yaml", "--set=training.num_steps=120"),
    *("--set=execution.log_every=4", "--set=evaluation.l2_grid=[0.01, 0.1]"),
    *("--set=optimizer.max_grad_norm=null", "--set=execution.num_threads=1"),
    *("--set=execution.checkpoint_every_seconds=0.01",),
)
TOGETHER = (*RUN, "--set=execution.num_workers=2")


@dataclass(frozen=True)
class Ran:
    """A folder in which the study has been run."""

    folder: Path

    def results(self) -> dict[str, dict[str, Any]]:
        return results(client(self.folder))

    def record(self) -> Record:
        store = client(self.folder)
        (trial,) = all_trials(store)
        file = store.download_artifacts(trial.info.run_id, "record.json")
        return Record.model_validate_json(Path(file).read_text())


def write_study(folder: Path, *arms: dict[str, Any]) -> None:
    study = {
        "name": "two_workers",
        "title": "Two workers",
        "arms": list(arms),
        "baseline": "good",
        "seeds": 1,
        "metric": {"vision": "linear_accuracy"},
    }
    (folder / "study.yaml").write_text(json.dumps(study))


def ran(folder: Path, *command: str) -> Ran:
    write_study(folder, GOOD)
    done = d2v(folder, *command)
    assert done.code == 0, done.out + done.err
    return Ran(folder)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran(tmp_path_factory.mktemp("together"), *TOGETHER)


@pytest.mark.thorough
def test_two_workers_give_the_table_of_one(together: Ran, tmp_path: Path) -> None:
    alone = ran(tmp_path, *RUN)
    ours, theirs = together.results(), alone.results()
    assert ours.keys() == theirs.keys()  # the same trial
    (one,), (other,) = ours.values(), theirs.values()
    assert one.keys() == other.keys()
    assert one["status"] == other["status"] == "finished"
    assert [s for s, _ in one["curve"]] == [s for s, _ in other["curve"]]
    assert [s for s, _ in one["curve"]] == list(range(4, 121, 4))
    losses = [loss for _, loss in other["curve"]]
    assert [loss for _, loss in one["curve"]] == pytest.approx(losses, rel=1e-3)
    for name in ("eval/linear_accuracy", "eval/knn_accuracy"):
        assert one[name] == pytest.approx(other[name], abs=1.0)
    assert together.record().environment["num_workers"] == "2"
    assert "num_workers" not in alone.record().environment
    left = together.folder / "d2v-runs" / "checkpoints"
    assert not list(left.glob("*/*"))


@pytest.fixture
def disturbed(tmp_path: Path) -> Iterator[Any]:
    write_study(tmp_path, GOOD, DIVERGED)
    process = start(tmp_path, *TOGETHER)
    yield process
    process.close()
    end_ray_of(process.pid)


@pytest.mark.thorough
def test_killed_processes_do_not_change_the_result_and_a_divergence_is_one(
    tmp_path: Path, disturbed: Any, together: Ran
) -> None:
    session = disturbed.pid

    def saved_at() -> list[int]:
        found = tmp_path.glob("d2v-runs/checkpoints/*/checkpoint.pt")
        return [file.stat().st_mtime_ns for file in found]

    def new_workers(old: set[int]) -> set[int]:
        """Both of an attempt, once they have trained."""
        before = saved_at()
        wait_until(lambda: len(processes_in(session, WORKER) - old) == 2, disturbed)
        wait_until(lambda: saved_at() != before, disturbed)
        return processes_in(session, WORKER) - old

    first = new_workers(set())
    assert not listening_beyond_loopback(first)
    os.kill(max(first), signal.SIGKILL)
    second = new_workers(first)
    (tune,) = processes_in(session, TUNE)
    os.kill(tune, signal.SIGKILL)
    new_workers(first | second)
    output, _ = disturbed.communicate(timeout=200)
    assert disturbed.returncode == 1, output
    found = Ran(tmp_path).results()
    for key, undisturbed in together.results().items():
        assert found.pop(key) == undisturbed
    (other,) = found.values()
    assert other["status"] == "diverged"


WORKER, TUNE = b"ray::RayTrainWorker", b"ray::ImplicitFunc"


def processes_in(session: int, title: bytes) -> set[int]:
    """Processes of Ray by their title."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            named = (entry / "cmdline").read_bytes().startswith(title)
            if named and os.getsid(int(entry.name)) == session:
                found.add(int(entry.name))
        except OSError:
            continue
    return found


LISTENING, LOOPBACK = "0A", "0100007F"
"""As the kernel writes them; IPv4 addresses in IPv6 end alike."""


def listening_beyond_loopback(pids: set[int]) -> list[str]:
    """Local addresses of their TCP sockets that others than this machine can reach."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
            except OSError:
                continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            address = words[1].partition(":")[0]
            heard = words[3] == LISTENING and words[9] in inodes
            if heard and not address.endswith(LOOPBACK):
                found.append(words[1])
    return found


def test_a_follower_says_why_it_cannot_go_on(tmp_path: Path) -> None:
    folder = {"data": {"source": "image_folder", "root": str(tmp_path), "folder": "x"}}
    broken = job(tmp_path)
    broken["trial"] = small_trial(folder).model_dump(mode="json")
    messages: list[dict[str, Any]] = []
    with pytest.raises(ValueError, match="image_folder|folder"):
        follow(broken, messages.append, Workers(1, 2))
    (message,) = messages
    record = Record.model_validate_json(message["fault"])
    assert record.status == "failed"
    assert record.environment["num_workers"] == "2"
    assert not list(tmp_path.glob("trial/*"))


def test_the_first_ends_the_others_when_the_trial_ends_before_its_time(
    tmp_path: Path,
) -> None:
    (tmp_path / "stop").touch()
    messages: list[dict[str, Any]] = []
    with pytest.raises(EndedError, match="before its time"):
        lead(job(tmp_path), messages.append, Workers(0, 2))
    assert messages == [{"stopped": True}]


def test_a_fault_of_another_is_the_result_only_if_the_first_has_none(
    tmp_path: Path,
) -> None:
    spool, sent = Spool(tmp_path / "trial"), list[dict[str, Any]]()
    fault = Record(
        key="k",
        status="out_of_memory",
        seed=0,
        steps=3,
        num_parameters=1,
        metrics={},
        data_name="digits",
        data_digest="0" * 16,
        environment={},
    ).model_dump_json()
    progress: dict[str, Any] = {"progress": [(1, 0, {})]}

    assert not pass_on([progress], spool, sent.append)  # it only died: start it again
    assert pass_on([{"fault": fault}, {"record": "its own"}], spool, sent.append)
    assert sent == [progress, {"record": "its own"}]
    assert spool.read_record() is None

    assert pass_on([progress, {"fault": fault}], spool, sent.append)
    handed_in = spool.read_record()
    assert handed_in is not None
    assert handed_in[0].status == "out_of_memory"
    assert sent[-1] == {"record": fault, "time": handed_in[1]}


def test_the_foreground_refuses_several_workers() -> None:
    context = typer.Context(typer.main.get_command(app), info_name="d2v")
    with pytest.raises(ConfigError) as error:
        train(context, "vision-smoke", set_=["execution.num_workers=2"])
    assert str(error.value) == (
        "execution.num_workers: d2v train is one process, d2v run starts several; must "
        "be 1, got 2"
    )


def trial_with(**execution: Any) -> Any:
    return small_trial({"execution": execution})


def test_a_trial_reserves_what_its_workers_need() -> None:
    trial = trial_with(num_workers=4, num_threads=2)
    assert bundles(trial) == [{"CPU": 2.0, "GPU": 0.0}] * 4
    eight, four = Node("", "a", 8.0, 0.0), Node("", "b", 4.0, 0.0)
    assert num_at_once([eight, eight], [trial]) == 2
    assert num_at_once([four, four], [trial]) == 1
    assert not resource_problems([four, four], trial)
    (problem,) = resource_problems([four], trial)
    assert "--set execution.num_workers=2" in str(problem)


def test_an_untrained_encoder_needs_one_worker() -> None:
    objective = {"objective": {"kind": "untrained"}, "execution": {"num_workers": 2}}
    assert small_trial(objective).num_workers == 1
    assert trial_with(num_workers=2).num_workers == 2
