"""The ``d2v`` application: its verbs, and how mistakes end it."""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import sys
import tempfile
import traceback
from typing import NoReturn

import typer
from rich.console import Console

from d2v_cli import planning, reporting, running, searching

GARBAGE_THRESHOLD = 50_000
"""Python's default of 700 costs a fourth of the time of importing torch and Ray."""

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
    from sweeps.tracking.writer import StoreWriteError

    try:
        app()
    except (ConfigError, DataError) as error:
        _end(str(error), 2)
    except (DivergedError, StoreWriteError) as error:
        _end(str(error), 1)
    except Exception as error:  # nothing else may reach a user as a traceback
        _end(our_fault(error), OUR_FAULT)


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
