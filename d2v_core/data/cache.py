"""Files that are computed once: data digests and decoded images.

They lie in ``$D2V_CACHE``, else ``$XDG_CACHE_HOME/d2v``, else ``~/.cache/d2v``;
deleting the folder costs time only.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

FULL_HASH_BYTES = 2 * 2**30
"""Up to this size in total, a digest covers the content of every file; above it, names
and sizes (hashing ImageNet would take longer than training on it here)."""


def cache_folder() -> Path:
    """The cache folder (it may not exist yet)."""
    if explicit := os.environ.get("D2V_CACHE"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "d2v"


def files_digest(root: Path, files: Sequence[Path]) -> str:
    """16 hex digits over names and content (or sizes) of files below ``root``.

    The content is read again only when a name, size or modification time changed.
    """
    stats = [(path, path.stat()) for path in files]
    fingerprint = hashlib.sha256(str(root.resolve()).encode())
    for path, stat in stats:
        line = f"{path.relative_to(root)}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        fingerprint.update(line.encode())
    known = cache_folder() / "digests" / f"{fingerprint.hexdigest()[:32]}.json"
    if known.exists():
        digest: str = json.loads(known.read_text())["digest"]
        return digest
    whole = sum(stat.st_size for _, stat in stats) <= FULL_HASH_BYTES
    content = hashlib.sha256()
    for path, stat in stats:
        content.update(f"{path.relative_to(root)}\0{stat.st_size}\n".encode())
        if whole:
            content.update(hashlib.sha256(path.read_bytes()).digest())
    digest = content.hexdigest()[:16]
    write_atomically(known, json.dumps({"digest": digest, "root": str(root)}).encode())
    return digest


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def save_array_atomically(path: Path, array: np.ndarray) -> None:
    """Write a whole ``.npy`` file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        np.save(file, array)
    os.replace(file.name, path)
