"""Real servers for tests: PostgreSQL, and MLflow on it, on free loopback ports."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def postgres_tool(name: str) -> str | None:
    """A program of PostgreSQL, wherever Debian puts it."""
    found = [str(folder / name) for folder in PLACES if (folder / name).exists()]
    return found[0] if found else shutil.which(name)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        else:
            return


def _as_user(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: become the user Debian made for it."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A database server of its own; the URI of its database.

    Args:
        folder: Made; every parent must be open to all (PostgreSQL drops root).
    """
    folder.mkdir(mode=0o755)
    become, port, data = _as_user(folder), free_port(), folder / "data"
    initdb = [str(postgres_tool("initdb")), "-D", str(data), "-A", "trust", "-U", "d2v"]
    subprocess.run([*become, *initdb], check=True, stdout=subprocess.DEVNULL)
    command = [
        *(str(postgres_tool("postgres")), "-D", str(data), "-k", str(folder)),
        *("-h", "127.0.0.1", "-p", str(port), "-F"),
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*become, *command], stdout=log, stderr=log)
    try:
        wait_for(port, server)
        yield f"postgresql+psycopg2://d2v@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def mlflow_server(
    store: str, artifacts: Path, port: int, log_file: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """MLflow's own server; workers need no access to the artifacts' folder."""
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store),
        *("--artifacts-destination", artifacts.as_uri(), "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    with log_file.open("ab") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
    try:
        wait_for(port, server)
        yield server
    finally:
        if server.poll() is None:
            os.killpg(server.pid, 9)
        server.wait()
