"""Files that are written whole or not at all, and disks that are full."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of ``path`` if the block ends well.

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
        os.unlink(file.name)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    with replacing(path) as file:
        file.write(content)


def save_array_atomically(path: Path, array: np.ndarray) -> None:
    """Write a whole ``.npy`` file or nothing."""
    with replacing(path) as file:
        np.save(file, array)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error, however it was wrapped."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "database or disk is full" in str(error):  # SQLite
            return True
        error = error.__cause__ or error.__context__
    return False
