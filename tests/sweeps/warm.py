"""A process that has imported the libraries, and forks one for each command.

Imports are two thirds of what a command costs that trains nothing. Python's fork server
pays for them once in a process of pytest. A command is a process of its own all the
same: its environment, folder, signals, output and end are its own.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.sweeps.imported"])


def run(
    folder: Path, arguments: Sequence[str], variables: Mapping[str, str], seconds: float
) -> tuple[int, str, str]:
    """Exit code, standard output and errors of ``d2v`` with these arguments."""
    with tempfile.TemporaryDirectory(prefix="d2v-command-") as place:
        files = [Path(place, name) for name in ("out", "err")]
        given = (str(folder), list(arguments), dict(variables), list(map(str, files)))
        process = SERVER.Process(target=_command, args=given)
        process.start()
        process.join(seconds)
        texts = [file.read_text() if file.exists() else "" for file in files]
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"d2v {' '.join(arguments)}: {seconds} s", *texts)
        return process.exitcode, texts[0], texts[1]


def _command(
    folder: str, arguments: list[str], variables: dict[str, str], files: list[str]
) -> None:
    for number, file in enumerate(files, start=1):
        written = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(written, number)
        os.close(written)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["d2v", *arguments]
    import d2v_cli

    try:
        d2v_cli.main()
    finally:
        atexit._run_exitfuncs()  # a process of multiprocessing leaves them out
