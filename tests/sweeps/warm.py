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
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.sweeps.imported"])


class Running:
    """A command that runs, used as :class:`subprocess.Popen` is, in a new session.

    Its output and errors come together, as text, through ``stdout``.
    """

    def __init__(
        self, folder: Path, arguments: Sequence[str], variables: Mapping[str, str]
    ) -> None:
        reading, writing = SERVER.Pipe(duplex=False)
        given = (str(folder), list(arguments), dict(variables), writing)
        self._process = SERVER.Process(target=_leader, args=given)
        self._process.start()
        writing.close()
        self.stdout = os.fdopen(os.dup(reading.fileno()), "r", encoding="utf-8")
        self._said: list[str] = []
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    poll = returncode.fget

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"process {self.pid}: {timeout} s")
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """All it says until it ends, and what :class:`subprocess.Popen` gives last."""
        reader = Thread(target=self._read, daemon=True)
        reader.start()
        reader.join(timeout)
        if reader.is_alive():
            raise TimeoutError(f"process {self.pid}: {timeout} s")
        self.wait(timeout)
        return "".join(self._said), None

    def close(self) -> None:
        """Kill it if it still runs, and drop what nobody has read."""
        self.kill()
        self.wait()
        self.stdout.close()

    def _read(self) -> None:
        with self.stdout:
            self._said.append(self.stdout.read())


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
    _d2v(folder, arguments, variables)


def _leader(
    folder: str, arguments: list[str], variables: dict[str, str], output: Connection
) -> None:
    os.setsid()
    for number in (1, 2):
        os.dup2(output.fileno(), number)
    output.close()
    _d2v(folder, arguments, variables)


def _d2v(folder: str, arguments: list[str], variables: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["d2v", *arguments]
    import d2v_cli

    try:
        d2v_cli.main()
    finally:
        atexit._run_exitfuncs()  # a process of multiprocessing leaves them out
