"""``d2v ui``: MLflow's own server over the lab's store, on loopback only."""

from __future__ import annotations

import subprocess
import sys

from rich.console import Console

from d2v_core.errors import ConfigError, Problem
from sweeps.stores import Stores


def serve_ui(stores: Stores, port: int, console: Console) -> int:
    """Serve until stopped; the server's exit code.

    Raises:
        ConfigError: There is no store yet, or the store is a server already.
    """
    if stores.tracking_uri.startswith("http"):
        raise ConfigError(
            [Problem("--tracking-uri", f"already served: open {stores.tracking_uri}")]
        )
    if stores.is_new:
        raise ConfigError(
            [
                Problem(
                    "--storage",
                    f"no store at {stores.database}; run a study first "
                    "(d2v run layer_averaging)",
                )
            ]
        )
    console.print(f"MLflow UI: http://127.0.0.1:{port}  (Ctrl-C ends it)")
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", stores.tracking_uri),
        *("--default-artifact-root", stores.artifacts.as_uri()),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0
