"""Mistakes in files of text, collected and named together before any training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from d2v_core.errors import DataError

OnError = Literal["raise", "skip"]
SHOWN = 10


class FileErrors:
    """What is wrong with some files.

    A line that cannot be used can be left out; a file that is missing, empty or has no
    such column cannot.
    """

    def __init__(self) -> None:
        self._files: list[str] = []
        self._lines: list[str] = []
        self._counts: Counter[Path] = Counter()

    def file(self, path: Path, reason: str) -> None:
        """A file that is of no use."""
        self._files.append(f"{path}: {reason}")

    def line(self, path: Path, number: int, reason: str) -> None:
        """A line (from 1) that is of no use."""
        if self._counts[path] < SHOWN:
            self._lines.append(f"{path}:{number}: {reason}")
        self._counts[path] += 1

    def join(self, other: FileErrors) -> None:
        """Take over what is wrong with other files."""
        self._files += other._files
        self._lines += other._lines
        self._counts += other._counts

    def notes(self, on_error: OnError) -> tuple[str, ...]:
        """How many lines were left out, by file.

        Raises:
            DataError: A file is of no use, or a line is and ``on_error`` is ``raise``.
        """
        lines = self._lines if on_error == "raise" else []
        if found := [*self._files, *lines]:
            hidden = sum(self._counts.values()) - len(self._lines) if lines else 0
            more = [f"and {hidden} more lines"] if hidden else []
            skip = ", or set data.on_error to skip" if lines else ""
            raise DataError(
                "data: every line of the corpus and of the tasks must be readable; "
                f"correct these{skip}:\n  " + "\n  ".join([*found, *more])
            )
        return tuple(
            f"{path}: {count} unreadable lines left out"
            for path, count in self._counts.items()
        )


def decoded_lines(path: Path, faults: FileErrors) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line that is UTF-8, without its line end."""
    try:
        file = path.open("rb")
    except OSError as error:
        faults.file(path, f"cannot be read: {error.strerror}")
        return
    with file:
        for number, raw in enumerate(file, start=1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                faults.line(path, number, f"must be UTF-8, byte {error.start} is not")
                continue
            yield number, text.rstrip("\r\n")
