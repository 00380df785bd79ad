"""Several processes that want the same new store at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sweeps.tracking.database import create_database
from tests.sweeps.command import environment

MAKE = """
import sys
from pathlib import Path
from sweeps.tracking.database import create_database
print("ready", flush=True)
sys.stdin.readline()
create_database(Path("d2v-runs/mlflow.db"), Path("d2v-runs/artifacts").absolute())
"""


@pytest.mark.thorough
def test_makers_beside_each_other_leave_one_whole_store(tmp_path: Path) -> None:
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    database = tmp_path / "d2v-runs" / "mlflow.db"
    while not database.exists():
        assert any(maker.poll() is None for maker in makers)
        time.sleep(0.001)
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")  # as soon as it is seen
    client.create_experiment("seen early")
    for maker in makers:
        _, errors = maker.communicate(timeout=120)
        assert maker.returncode == 0, errors
    assert client.get_experiment_by_name("seen early") is not None
    assert list(database.parent.iterdir()) == [database]


def test_a_store_that_is_there_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"somebody's")
    create_database(database, tmp_path)
    assert database.read_bytes() == b"somebody's"
