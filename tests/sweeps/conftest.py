"""One small study, really run once: Ray, MLflow on SQLite, report; shared by tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.sweeps.command import TINY, Done, d2v

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
    done = d2v(folder, *COMMAND)
    assert done.code == 0, done.out + done.err
    return Lab(folder, done)
