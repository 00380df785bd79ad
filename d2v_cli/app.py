"""The ``d2v`` application: its verbs, and how mistakes end it."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import tempfile
import traceback
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from d2v_cli.data import data
from d2v_cli.doctor import doctor
from d2v_cli.evaluate import evaluate
from d2v_cli.export import export
from d2v_cli.plan import plan
from d2v_cli.prune import prune
from d2v_cli.recipe_files import recipe
from d2v_cli.report import report
from d2v_cli.run import run
from d2v_cli.schema import schema
from d2v_cli.search import search
from d2v_cli.studies import studies
from d2v_cli.train import train
from d2v_cli.ui import ui

OUR_FAULT = 3
"""Exit code of an error that nobody foresaw."""
MAX_REASON = 300
"""Characters of its message that the terminal shows."""

app = typer.Typer(
    name="d2v",
    help="Ablation experiments on data2vec: studies run by Ray Tune, tracked in "
    "MLflow, reported as tables with the paper's numbers beside ours.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

VERBS = (
    *(studies, schema, plan, run, evaluate, train, search),
    *(report, ui, export, prune, doctor),
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"d2v {version('d2v-ablation-lab')}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print it."
        ),
    ] = False,
) -> None:
    pass


for verb in VERBS:
    app.command()(verb)
app.add_typer(data, name="data")
app.add_typer(recipe, name="recipe")


def main() -> None:
    """Entry point: users' mistakes are one clear message and exit code 2."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from d2v_core.errors import ConfigError, DataError, DivergedError
    from reports.files import ReportWriteError
    from sweeps.environment import give_user_a_name
    from sweeps.tracking.writer import StoreWriteError

    _listen_to_progress()
    give_user_a_name()  # before torch, Ray or MLflow ask for it
    try:
        app()
    except (ConfigError, DataError) as error:
        _end(str(error), 2)
    except (DivergedError, ReportWriteError, StoreWriteError) as error:
        _end(str(error), 1)
    except Exception as error:  # nothing else may reach a user as a traceback
        _end(our_fault(error), OUR_FAULT)


def _listen_to_progress() -> None:
    """Show how far reading data is; standard output stays what was asked for."""
    logger = logging.getLogger("d2v_core.data")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def our_fault(error: Exception) -> str:
    """Two lines for an error that nobody foresaw; its traceback goes to a file."""
    from ablations.redaction import redacted

    lines = str(error).splitlines() or [""]
    what = f"{type(error).__name__}: {lines[0][:MAX_REASON]}".rstrip(": ")
    report = "please report it with what you typed"
    story = "".join(traceback.format_exception(error))
    try:
        handle, name = tempfile.mkstemp(prefix="d2v-error-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            command = shlex.join(["d2v", *sys.argv[1:]])
            file.write(redacted(f"{command}\n\n{story}"))
        report = f"all of it is in {name}; {report}"
    except OSError:  # a full disk, say
        pass
    return f"this is our fault, not yours: {what}\n{report}"


def _end(message: str, code: int) -> NoReturn:
    from ablations.redaction import redacted

    Console(stderr=True).print(
        redacted(message), style="red", markup=False, highlight=False, soft_wrap=True
    )
    sys.exit(code)
