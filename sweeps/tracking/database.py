"""A new SQLite store that nobody ever sees half made."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from sweeps.tracking.address import sqlite_address


def create_database(database: Path, artifacts: Path) -> None:
    """Make MLflow's tables beside the path, then link the file to it.

    MLflow migrates in dozens of steps, and a second process that opens the file
    meanwhile migrates too: one of them fails with "duplicate column". Whoever links
    first wins; the others use its file.

    Args:
        database: Where the file has to be; nothing happens if it is there.
        artifacts: Folder of artifacts of runs in MLflow's own experiment "Default".
    """
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".new-") as folder:
        made = Path(folder) / database.name
        store = SqlAlchemyStore(  # type: ignore[no-untyped-call]
            sqlite_address(made).uri, artifacts.as_uri()
        )
        store.engine.dispose()
        with suppress(OSError):  # it is there, or no links here: MLflow makes it there
            os.link(made, database)
