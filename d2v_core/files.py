"""Files that are written whole or not at all, files that are torn, and full disks."""

from __future__ import annotations

import errno
import logging
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

TORN_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, KeyError, OverflowError, struct.error),
)
"""What :mod:`zipfile` raises for an archive that is cut short or garbled."""

_log = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of ``path`` if the block ends well.

    Otherwise it is gone, and what was there stays. Folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=path.parent, delete=False)  # noqa: SIM115
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    with replacing(path) as file:
        file.write(content)


def set_aside(path: Path, reason: str, remedy: str) -> None:
    """Rename a file of ours that cannot be read to ``<name>.torn``, and say so.

    Args:
        path: The file; another process may have set it aside already.
        reason: What is wrong with it.
        remedy: What happens instead.
    """
    kept = path.with_name(f"{path.name}.torn")
    try:
        os.replace(path, kept)
    except FileNotFoundError:
        return
    _log.warning("%s: %s; kept as %s, %s", path, reason, kept.name, remedy)


def set_aside_torn_archive(path: Path, remedy: str) -> bool:
    """Set aside a file of ``torch.save`` that is not whole; whether it was torn.

    The file holds a CRC-32 of every tensor, which ``torch.load`` does not look at.

    Raises:
        FileNotFoundError: There is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            garbled = archive.testzip()
    except TORN_ERRORS:
        garbled = "all of it"
    if garbled is not None:
        set_aside(path, "is cut short or garbled", remedy)
    return garbled is not None


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error, however it was wrapped."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "database or disk is full" in str(error):  # SQLite
            return True
        error = error.__cause__ or error.__context__
    return False
