"""Files of weights that an encoder can begin with, found and known by their content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from d2v_core.errors import ConfigError, Problem, shown

SETTING = "init_from"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
IN_FOLDERS = ("student.safetensors", "model.safetensors")
"""Of a kept encoder, and of what timm and ``d2v export`` write."""


def weights_file(place: str) -> Path:
    """The file of weights that ``init_from`` means.

    Args:
        place: A folder of a kept or exported encoder, or a file.

    Raises:
        ConfigError: There is none.
    """
    given = Path(place)
    files = [given / name for name in IN_FOLDERS] if given.is_dir() else [given]
    for file in files:
        if file.is_file() and file.suffix in SUFFIXES:
            return file
    folder = f"a folder that holds {' or '.join(IN_FOLDERS)}"
    message = f"must be {folder}, or a file *{', *'.join(SUFFIXES)}"
    raise ConfigError([Problem(SETTING, f"{message}, got {shown(place)}")])


def weights_digest(place: str | None) -> str:
    """Digest of the weights, 16 hex digits; empty: random ones.

    Raises:
        ConfigError: They are not there.
    """
    if place is None:
        return ""
    file = weights_file(place)
    stat = file.stat()
    return _digest(file, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=64)
def _digest(file: Path, state: tuple[int, ...]) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]
