"""A report's files: all of them new, or the old ones as they were."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from d2v_core.files import write_atomically

Contents = Mapping[str, str | bytes]


class ReportWriteError(RuntimeError):
    """A report could not be written; the files of the one before are whole."""


def write_files(contents: Contents, folder: Path) -> dict[str, Path]:
    """Write files into a folder, made if need be; others in it stay.

    All are written and synced in a folder inside it before the first takes its place:
    a disk that gets full leaves no file of the new report beside files of the old.

    Raises:
        ReportWriteError: The disk is full, or the folder cannot be written.
    """
    files = {name: folder / name for name in contents}
    fresh: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        for name, content in contents.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            write_atomically(fresh / name, data)
        for name, path in files.items():
            os.replace(fresh / name, path)
    except OSError as error:
        why = error.strerror or str(error)
        raise ReportWriteError(
            f"the report cannot be written into {folder} ({why}); a report that is "
            "there is as it was. Make space or give another --storage, then report "
            "again: the trials are in the store"
        ) from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
    return files
