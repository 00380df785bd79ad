"""The tracking server goes away and comes back; PostgreSQL and MLflow are real."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sweeps.tracking.writer import PATIENCE_VARIABLE
from tests.sweeps.command import d2v
from tests.sweeps.conftest import Undisturbed
from tests.sweeps.driver.long_run import (
    LONG,
    events,
    num_in_the_middle,
    results,
    running,
    wait_until,
)
from tests.sweeps.servers import Database, free_port, mlflow_server, postgres_tool

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        postgres_tool("initdb") is None, reason="needs PostgreSQL (Debian: postgresql)"
    ),
]
PATIENCE_SECONDS = 2.0
AWAY_SECONDS = 3 * PATIENCE_SECONDS
"""More than a write that fails although the store answers is given."""
IMPATIENT = {PATIENCE_VARIABLE: str(PATIENCE_SECONDS)}
AWAY = "the tracking store does not answer"


@pytest.fixture
def database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="d2v-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with Database(Path(folder) / "server") as server:
            yield server


def messages(folder: Path) -> list[str]:
    return [event["text"] for event in events(folder, "message")]


def is_told_away(folder: Path) -> bool:
    return any(AWAY in text for text in messages(folder))


def test_an_outage_of_database_and_server_loses_nothing(
    tmp_path: Path, database: Database, undisturbed: Undisturbed
) -> None:
    """First the database is away behind its server, then the server too."""
    port, artifacts = free_port(), tmp_path / "artifacts"
    uri, log = f"http://127.0.0.1:{port}", tmp_path / "server.log"
    with ExitStack() as opened:
        with mlflow_server(database.uri, artifacts, port, log):
            context = running(tmp_path, *LONG, "--tracking-uri", uri, **IMPATIENT)
            run = opened.enter_context(context)  # it outlives the server
            wait_until(lambda: num_in_the_middle(tmp_path), run)
            database.stop()
            wait_until(lambda: is_told_away(tmp_path), run)
            time.sleep(AWAY_SECONDS)  # trials end meanwhile
            assert run.poll() is None, run.communicate()
        time.sleep(AWAY_SECONDS)
        assert run.poll() is None, run.communicate()
        database.start()
        with mlflow_server(database.uri, artifacts, port, log):
            output, _ = run.communicate(timeout=240)
            assert run.returncode == 0, output
            assert AWAY in output
            assert "answers again" in output
            assert results(MlflowClient(tracking_uri=uri)) == undisturbed.results


def test_results_of_an_outage_survive_the_driver(
    tmp_path: Path, database: Database, undisturbed: Undisturbed
) -> None:
    port, artifacts = free_port(), tmp_path / "artifacts"
    uri, log = f"http://127.0.0.1:{port}", tmp_path / "server.log"

    def at_rest() -> list[Path]:
        return list(tmp_path.glob("d2v-runs/checkpoints/*/record.json"))

    with ExitStack() as opened:
        with mlflow_server(database.uri, artifacts, port, log):
            context = running(tmp_path, *LONG, "--tracking-uri", uri)
            run = opened.enter_context(context)  # it outlives the server
            wait_until(lambda: num_in_the_middle(tmp_path), run)
        wait_until(lambda: len(events(tmp_path, "trial_ended")) == 3, run, 240)
        assert at_rest()

    with mlflow_server(database.uri, artifacts, port, log):
        again = d2v(tmp_path, *LONG, "--tracking-uri", uri)
        assert again.code == 0, again.out + again.err
        assert "nothing to train: all 3 trials" in again.out
        assert results(MlflowClient(tracking_uri=uri)) == undisturbed.results
    assert not at_rest()
