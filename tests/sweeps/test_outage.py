"""The tracking server goes away and comes back; PostgreSQL and MLflow are real."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.sweeps.command import d2v
from tests.sweeps.long_run import (
    LONG,
    checkpoints,
    end_ray_of,
    results,
    start,
    wait_until,
)
from tests.sweeps.servers import free_port, mlflow_server, postgres, postgres_tool

pytestmark = pytest.mark.skipif(
    postgres_tool("initdb") is None, reason="needs PostgreSQL (Debian: postgresql)"
)
AWAY_SECONDS = 60.0


@pytest.fixture
def database() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="d2v-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with postgres(Path(folder) / "server") as uri:
            yield uri


def test_an_outage_loses_nothing(tmp_path: Path, database: str) -> None:
    port, artifacts = free_port(), tmp_path / "artifacts"
    uri = f"http://127.0.0.1:{port}"
    log = tmp_path / "server.log"
    with mlflow_server(database, artifacts, port, log):
        run = start(tmp_path, *LONG, "--tracking-uri", uri)
        session = os.getsid(run.pid)
        wait_until(lambda: checkpoints(tmp_path), run)
    time.sleep(AWAY_SECONDS)  # trials end meanwhile
    assert run.poll() is None
    with mlflow_server(database, artifacts, port, log):
        output, _ = run.communicate(timeout=240)
        assert run.returncode == 0, output
        assert "the tracking store does not answer" in output
        assert "answers again" in output
        found = results(MlflowClient(tracking_uri=uri))
    end_ray_of(session)
    straight = tmp_path / "straight"
    straight.mkdir()
    undisturbed = d2v(straight, *LONG)
    assert undisturbed.code == 0, undisturbed.err
    local = MlflowClient(tracking_uri=f"sqlite:///{straight}/d2v-runs/mlflow.db")
    assert found == results(local)


def test_results_of_an_outage_survive_the_driver(tmp_path: Path, database: str) -> None:
    port, artifacts = free_port(), tmp_path / "artifacts"
    uri = f"http://127.0.0.1:{port}"
    log = tmp_path / "server.log"
    with mlflow_server(database, artifacts, port, log):
        run = start(tmp_path, *LONG, "--tracking-uri", uri)
        session = os.getsid(run.pid)
        wait_until(lambda: checkpoints(tmp_path), run)
    records = lambda: list(tmp_path.glob("d2v-runs/checkpoints/*/record.json"))  # noqa: E731
    wait_until(lambda: len(records()) == 3, run)
    run.kill()
    run.communicate()
    end_ray_of(session)

    with mlflow_server(database, artifacts, port, log):
        again = d2v(tmp_path, *LONG, "--tracking-uri", uri)
        assert again.code == 0, again.out + again.err
        assert "nothing to train: all 3 trials" in again.out
        found = results(MlflowClient(tracking_uri=uri))
    assert {trial["status"] for trial in found.values()} == {"finished"}
    assert not records()
