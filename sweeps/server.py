"""``d2v ui``: MLflow's own server over the lab's store, on loopback only."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from rich.console import Console

from d2v_core.errors import ConfigError, Problem
from sweeps.stores import Stores


def serve_ui(stores: Stores, port: int, console: Console) -> NoReturn:
    """Become the server, until it is stopped.

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
    link = runs_link(port)
    console.print(f"MLflow UI: {link}  (Ctrl-C ends it)", soft_wrap=True, markup=False)
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", stores.tracking_uri),
        *("--default-artifact-root", stores.artifacts.as_uri()),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # GenAI's
    os.execv(command[0], command)  # signals reach the server itself


def runs_link(port: int) -> str:
    """The page of all experiments, in MLflow's view for training."""
    return f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"
