"""Files that are computed once: data digests and decoded images.

They lie in ``$D2V_CACHE``, else ``$XDG_CACHE_HOME/d2v``, else ``~/.cache/d2v``;
deleting the folder costs time only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from d2v_core.files import write_atomically

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

    The content is read again only when a name, size or modification time changed. Files
    that cannot be read count by name; who opens them says what is wrong with them.
    """
    sizes, fingerprint = [], hashlib.sha256(str(root.resolve()).encode())
    for path in files:
        size, modified = _size_and_time(path)
        line = f"{path.relative_to(root)}\0{size}\0{modified}\n"
        fingerprint.update(line.encode())
        sizes.append(size)
    known = cache_folder() / "digests" / f"{fingerprint.hexdigest()[:32]}.json"
    if known.exists():
        digest: str = json.loads(known.read_text())["digest"]
        return digest
    whole, all_readable = sum(sizes) <= FULL_HASH_BYTES, min(sizes, default=0) >= 0
    content = hashlib.sha256()
    for path, size in zip(files, sizes, strict=True):
        content.update(f"{path.relative_to(root)}\0{size}\n".encode())
        if not whole:
            continue
        try:
            content.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            all_readable = False
    digest = content.hexdigest()[:16]
    if all_readable:
        entry = json.dumps({"digest": digest, "root": str(root)})
        write_atomically(known, entry.encode())
    return digest


def _size_and_time(path: Path) -> tuple[int, int]:
    """In bytes, and of the last change in nanoseconds; a size of -1: out of reach."""
    try:
        stat = path.stat()
    except OSError:
        return -1, 0
    return stat.st_size, stat.st_mtime_ns
