"""Mistakes in files of text, collected and named together before any training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from d2v_core.config.choices import OnError
from d2v_core.errors import DataError

SHOWN = 10
MAX_LINE_BYTES = 2**24
"""Longest line: a longer one is no text, and must not be read into memory."""


class FileErrors:
    """Collects what is wrong with some files.

    A line that cannot be used can be left out; a file that is missing, empty or has no
    such column cannot.
    """

    def __init__(self) -> None:
        self._files: list[str] = []
        self._lines: list[str] = []
        self._counts: Counter[Path] = Counter()

    @property
    def num_lines(self) -> int:
        """Number of lines that are of no use."""
        return self._counts.total()

    def file(self, path: Path, reason: str) -> None:
        """Note a file that is of no use."""
        self._files.append(f"{path}: {reason}")

    def line(self, path: Path, number: int, reason: str) -> None:
        """Note a line (from 1) that is of no use."""
        if self._counts[path] < SHOWN:
            self._lines.append(f"{path}:{number}: {reason}")
        self._counts[path] += 1

    def join(self, other: FileErrors) -> None:
        """Take over what is wrong with other files."""
        self._files += other._files
        self._lines += other._lines
        self._counts += other._counts

    def notes(self, on_error: OnError) -> tuple[str, ...]:
        """Tell how many lines were left out, by file.

        Raises:
            DataError: A file is of no use, or a line is and ``on_error`` is ``raise``.
        """
        lines = self._lines if on_error == "raise" else []
        if errors := [*self._files, *lines]:
            hidden = sum(self._counts.values()) - len(self._lines) if lines else 0
            more = [f"and {hidden} more lines"] if hidden else []
            skip = ", or set data.on_error to skip" if lines else ""
            raise DataError(
                "data: every line of the corpus and of the tasks must be readable; "
                f"correct these{skip}:\n  " + "\n  ".join([*errors, *more])
            )
        return tuple(
            f"{path}: {count} unreadable lines left out"
            for path, count in self._counts.items()
        )


def decoded_lines(path: Path, errors: FileErrors) -> Iterator[tuple[int, str]]:
    """Read number (from 1) and text of each line that is UTF-8, without its line end.

    Byte order marks are taken off: files put together have them inside, too.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        errors.file(path, f"cannot be read: {error.strerror}")
        return
    with file:
        for number, raw in enumerate(_raw_lines(file), start=1):
            if len(raw) > MAX_LINE_BYTES:
                reason = f"must have at most {MAX_LINE_BYTES:,} bytes, is longer"
                errors.line(path, number, reason)
                continue
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                reason = f"must be UTF-8, byte {error.start} is not"
                errors.line(path, number, reason)
                continue
            yield number, text.removeprefix("\ufeff").rstrip("\r\n")


def _raw_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Read lines; of one that is too long, no more than tells that it is."""
    while raw := file.readline(MAX_LINE_BYTES + 1):
        yield raw
        while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = file.readline(MAX_LINE_BYTES + 1)
