"""The ``d2v`` application: its verbs, and how mistakes end it."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console

from d2v_cli.export import export
from d2v_cli.plan import plan
from d2v_cli.report import report
from d2v_cli.run import run
from d2v_cli.schema import schema
from d2v_cli.search import search
from d2v_cli.studies import studies
from d2v_cli.train import train
from d2v_cli.ui import ui

app = typer.Typer(
    name="d2v",
    help="Ablation experiments on data2vec: studies run by Ray Tune, tracked in "
    "MLflow, reported as tables with the paper's numbers beside ours.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for verb in (studies, schema, plan, run, train, export, search, report, ui):
    app.command()(verb)


def main() -> None:
    """Entry point: users' mistakes are one clear message and exit code 2."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from d2v_core.errors import ConfigError, DataError, DivergedError
    from reports.files import ReportWriteError
    from sweeps.tracking.writer import StoreWriteError

    try:
        app()
    except (ConfigError, DataError) as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(2)
    except (DivergedError, ReportWriteError, StoreWriteError) as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, soft_wrap=True
        )
        sys.exit(1)
