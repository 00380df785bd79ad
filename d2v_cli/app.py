"""The ``d2v`` application: its verbs, and how mistakes end it."""

from __future__ import annotations

import atexit
import gc
import os
import sys

import typer
from rich.console import Console

from d2v_cli import planning, reporting, running, searching

GARBAGE_THRESHOLD = 50_000
"""Python's default of 700 costs a fourth of the time of importing torch and Ray."""

app = typer.Typer(
    name="d2v",
    help="Ablation experiments on data2vec: studies run by Ray Tune, tracked in "
    "MLflow, reported as tables with the paper's numbers beside ours.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for verb in (
    planning.studies,
    planning.schema,
    planning.plan,
    running.run,
    running.train,
    running.export,
    searching.search,
    reporting.report,
    reporting.ui,
):
    app.command()(verb)


def main() -> None:
    """Entry point: users' mistakes are one clear message and exit code 2."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    gc.set_threshold(GARBAGE_THRESHOLD)
    atexit.register(gc.freeze)  # no last search through all libraries: 1 to 2 s
    from d2v_core.errors import ConfigError, DataError, DivergedError
    from sweeps.tracking.environment import give_user_a_name
    from sweeps.tracking.writer import StoreWriteError

    give_user_a_name()  # before torch, Ray or MLflow ask for it
    try:
        app()
    except (ConfigError, DataError) as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(2)
    except (DivergedError, StoreWriteError) as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, soft_wrap=True
        )
        sys.exit(1)
