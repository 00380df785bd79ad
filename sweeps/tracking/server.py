"""``d2v ui``: MLflow's own server over the lab's store, on loopback only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Sequence

from d2v_core.errors import ConfigError, Problem
from sweeps.tracking.stores import Stores, answers

END_SECONDS = 5.0
"""What the server gets to end by itself."""
OPEN_SECONDS = 60.0
"""How long a browser waits for the server."""


def ui_address(stores: Stores, port: int) -> str:
    """Where the pages are: of a served store its own address, else ours to be."""
    return stores.tracking_uri if is_served(stores) else f"http://127.0.0.1:{port}"


def is_served(stores: Stores) -> bool:
    """Whether the store is a server, with pages of its own."""
    return stores.address.is_web


def check_ui(stores: Stores, port: int) -> None:
    """Refuse what cannot be served, before anything is written.

    Raises:
        ConfigError: There is no store yet, or the port is taken.
    """
    if stores.is_new:
        requirement = f"no store at {stores.database}; run a study first "
        raise ConfigError(
            [Problem("--storage", f"{requirement}(d2v run layer_averaging)")]
        )
    if is_served(stores):
        return
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            ours.bind(("127.0.0.1", port))
        except OSError as error:
            requirement = f"must be free, got {port} ({error.strerror}); give another"
            raise ConfigError([Problem("--port", requirement)]) from None


def serve_ui(stores: Stores, port: int) -> None:
    """Serve until Ctrl-C, SIGTERM or the server's own end.

    The server runs in a session of its own: a Ctrl-C of the terminal would reach its
    workers too, and each would end with a traceback.
    """
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--default-artifact-root", stores.artifacts.as_uri()),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--uvicorn-opts", "--log-level warning"),
    ]
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # GenAI's
        **os.environ,
        # Not an argument: it may hold a password, and everybody sees those of others.
        "MLFLOW_BACKEND_STORE_URI": stores.tracking_uri,
    }
    server = subprocess.Popen(command, start_new_session=True, env=environment)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.wait()
    except KeyboardInterrupt:
        _end(server)
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server with its workers; those that do not listen are killed."""
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def open_soon(addresses: Sequence[str]) -> None:
    """Open pages in the browser once their server answers, from another process."""
    command = [sys.executable, "-m", "sweeps.tracking.server", *addresses]
    subprocess.Popen(command, start_new_session=True)


def _open(addresses: Sequence[str]) -> None:
    deadline = time.monotonic() + OPEN_SECONDS
    server = addresses[0].partition("/#")[0]
    while not answers(server) and time.monotonic() < deadline:
        time.sleep(0.2)
    for address in addresses:
        webbrowser.open(address)


if __name__ == "__main__":
    _open(sys.argv[1:])
