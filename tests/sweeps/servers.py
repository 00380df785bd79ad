"""Real servers for tests: PostgreSQL, and MLflow on it, on free loopback ports."""

from __future__ import annotations

import os
import shutil
import signal
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


class Database:
    """A PostgreSQL server of its own while the context is open.

    Args:
        folder: Made; every parent must be open to all (PostgreSQL drops root).
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        folder.mkdir(mode=0o755)
        self._become = _as_user(folder)

    @property
    def uri(self) -> str:
        return f"postgresql+psycopg2://d2v@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Database:
        data = ["-D", str(self._folder / "data"), "-A", "trust", "-U", "d2v"]
        initdb = [*self._become, str(postgres_tool("initdb")), *data]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        command = [
            *(*self._become, str(postgres_tool("postgres"))),
            *("-D", str(self._folder / "data"), "-k", str(self._folder)),
            *("-h", "127.0.0.1", "-p", str(self._port), "-F"),
        ]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._port, self._server)

    def stop(self) -> None:
        self._server.send_signal(signal.SIGINT)  # "fast": connections are closed
        self._server.wait()


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
