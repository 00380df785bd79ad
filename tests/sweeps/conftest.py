"""Two studies, really run once: Ray, MLflow on SQLite, report; shared by tests."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.sweeps.command import TINY, Done, Here, d2v_cold, d2v_here
from tests.sweeps.driver.long_run import LONG, client, results, running

COMMAND = ("run", "layer_averaging", "--seeds", "2", *TINY)


@dataclass(frozen=True)
class Lab:
    """A folder in which the study has been run."""

    folder: Path
    first: Done

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/d2v-runs/mlflow.db"

    def runs(self) -> list[Run]:
        client = MlflowClient(tracking_uri=self.uri)
        experiments = [e.experiment_id for e in client.search_experiments()]
        return list(client.search_runs(experiments))

    def trials(self) -> list[Run]:
        return [run for run in self.runs() if run.data.tags["d2v.role"] == "trial"]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    done = d2v_cold(folder, *COMMAND)  # one whole start, imports and all
    assert done.code == 0, done.out + done.err
    lab = Lab(folder, done)
    assert len(lab.trials()) == 12
    return lab


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command inside this process: for what starts neither Ray nor a worker."""

    def call(folder: Path, *arguments: str, **extra: str) -> Done:
        given = {"monkeypatch": monkeypatch, "capsys": capsys}
        return d2v_here(folder, *arguments, **given, **extra)

    return call


@dataclass(frozen=True)
class Undisturbed:
    """The long run as it goes when nothing happens to it.

    Attributes:
        results: As :func:`tests.sweeps.driver.long_run.results` gives them.
        lines: What was printed, each with whether the command still ran then.
    """

    results: dict[str, Any]
    lines: list[tuple[str, bool]]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Made by the first process of the session that asks; the others wait for it."""
    own = tmp_path_factory.getbasetemp()
    together = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    made = together / "undisturbed.pickle"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            made.write_bytes(pickle.dumps(run_undisturbed(together / "undisturbed")))
        found = pickle.loads(made.read_bytes())
    assert isinstance(found, Undisturbed)
    return found


def run_undisturbed(folder: Path) -> Undisturbed:
    folder.mkdir()
    with running(folder, *LONG) as run:
        assert run.stdout is not None
        lines = [(line, run.poll() is None) for line in run.stdout]
        assert run.wait() == 0, lines
    found = results(client(folder))
    assert len(found) == 3
    return Undisturbed(found, lines)
