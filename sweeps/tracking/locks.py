"""Locks on trials: one process trains each, whatever runs beside it.

One file in the storage folder, of which each trial locks one byte at the place its key
names. The kernel gives the locks back when their process ends, however it ends; they
work across hosts where the file system has POSIX locks (NFS version 4 does).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class TrialLocks:
    """The locks this process holds.

    Args:
        storage: Folder shared by all who use the same results.
    """

    def __init__(self, storage: Path) -> None:
        storage.mkdir(parents=True, exist_ok=True)
        self._file = os.open(storage / "trials.lock", os.O_RDWR | os.O_CREAT, 0o666)

    def __enter__(self) -> TrialLocks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)  # gives all of them back

    def take(self, key: str) -> bool:
        """Whether the trial is now ours; False while another process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def give_back(self, key: str) -> None:
        """Let others have the trial."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key))


def _place(key: str) -> int:
    return int(key, 16) >> 2  # file offsets are signed
