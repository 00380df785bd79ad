"""The tracking server goes away and comes back; PostgreSQL and MLflow are real."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.sweeps.command import d2v
from tests.sweeps.driver.long_run import (
    LONG,
    client,
    end_ray_of,
    events,
    num_in_the_middle,
    results,
    start,
    wait_until,
)
from tests.sweeps.servers import Database, free_port, mlflow_server, postgres_tool

pytestmark = pytest.mark.skipif(
    postgres_tool("initdb") is None, reason="needs PostgreSQL (Debian: postgresql)"
)
AWAY_SECONDS = 65.0
"""More than a write that fails although the store answers is given."""


@pytest.fixture
def database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="d2v-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with Database(Path(folder) / "server") as server:
            yield server


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = d2v(folder, *LONG)
    assert done.code == 0, done.err
    return results(client(folder))


def test_an_outage_loses_nothing(
    tmp_path: Path, database: Database, undisturbed: dict[str, Any]
) -> None:
    port, artifacts = free_port(), tmp_path / "artifacts"
    uri = f"http://127.0.0.1:{port}"
    log = tmp_path / "server.log"
    with mlflow_server(database.uri, artifacts, port, log):
        run = start(tmp_path, *LONG, "--tracking-uri", uri)
        session = os.getsid(run.pid)
        wait_until(lambda: num_in_the_middle(tmp_path), run)
    time.sleep(AWAY_SECONDS)  # trials end meanwhile
    assert run.poll() is None
    with mlflow_server(database.uri, artifacts, port, log):
        output, _ = run.communicate(timeout=240)
        assert run.returncode == 0, output
        assert "the tracking store does not answer" in output
        assert "answers again" in output
        found = results(MlflowClient(tracking_uri=uri))
    end_ray_of(session)
    assert found == undisturbed


def test_the_database_may_be_away_behind_its_server(
    tmp_path: Path, database: Database, undisturbed: dict[str, Any]
) -> None:
    port = free_port()
    uri, log = f"http://127.0.0.1:{port}", tmp_path / "server.log"
    with mlflow_server(database.uri, tmp_path / "artifacts", port, log):
        run = start(tmp_path, *LONG, "--tracking-uri", uri)
        session = os.getsid(run.pid)
        wait_until(lambda: num_in_the_middle(tmp_path), run)
        database.stop()
        time.sleep(AWAY_SECONDS)
        assert run.poll() is None, run.communicate()
        database.start()
        output, _ = run.communicate(timeout=240)
        assert run.returncode == 0, output
        assert "the tracking store does not answer" in output
        assert results(MlflowClient(tracking_uri=uri)) == undisturbed
    end_ray_of(session)


def test_results_of_an_outage_survive_the_driver(
    tmp_path: Path, database: Database, undisturbed: dict[str, Any]
) -> None:
    port, artifacts = free_port(), tmp_path / "artifacts"
    uri = f"http://127.0.0.1:{port}"
    log = tmp_path / "server.log"
    with mlflow_server(database.uri, artifacts, port, log):
        run = start(tmp_path, *LONG, "--tracking-uri", uri)
        session = os.getsid(run.pid)
        wait_until(lambda: num_in_the_middle(tmp_path), run)
    records = lambda: list(tmp_path.glob("d2v-runs/checkpoints/*/record.json"))  # noqa: E731
    wait_until(lambda: len(events(tmp_path, "trial_ended")) == 3, run, 240)
    assert records()
    run.kill()
    run.communicate()
    end_ray_of(session)

    with mlflow_server(database.uri, artifacts, port, log):
        again = d2v(tmp_path, *LONG, "--tracking-uri", uri)
        assert again.code == 0, again.out + again.err
        assert "nothing to train: all 3 trials" in again.out
        assert results(MlflowClient(tracking_uri=uri)) == undisturbed
    assert not records()
