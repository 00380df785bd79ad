"""The cache of results that are computed once per machine, like decoded images.

It lies in ``$D2V_CACHE``, else ``$XDG_CACHE_HOME/d2v``, else ``~/.cache/d2v``; deleting
the folder costs time only. :class:`CacheEntry` is the one way in and out.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from d2v_core.data.progress import with_progress
from d2v_core.errors import DataError
from d2v_core.files import is_disk_full, replacing

FULL_HASH_BYTES = 2 * 2**30
"""Up to this size in total, a digest covers the content of every file; above it, names
and sizes (hashing ImageNet would take longer than training on it here)."""

Mark = Callable[[Path], bool]

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Locate the cache folder, which may not exist yet."""
    if explicit := os.environ.get("D2V_CACHE"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "d2v"


class CacheEntry:
    """Files that were made together, with an index that tells whether they are whole.

    Data is written and synced first, the index last. The index holds length and SHA-256
    of every file and of itself, so that whatever a killed process, a full disk or a
    careless copy has left is noticed. Several processes may make the same entry at
    once: each file is replaced whole, and all of them write the same.

    Args:
        kind: Folder below the cache folder.
        name: Changes whenever the content would.
    """

    def __init__(self, kind: str, name: str) -> None:
        self._folder, self._name = cache_folder() / kind, name

    def file(self, suffix: str) -> Path:
        """Locate the file of one kind of data."""
        return self._folder / f"{self._name}.{suffix}"

    @property
    def _index(self) -> Path:
        return self.file("index.json")

    def read(self) -> Any:
        """Check all files, and return what was written about them.

        None where there is no entry, or one that is not whole; that is said in a line,
        and the caller makes it anew.
        """
        try:
            return self._checked(self._index.read_bytes())
        except FileNotFoundError as error:
            if error.filename == str(self._index):
                return None
            reason = f"{Path(error.filename).name} is gone"
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            reason = str(error) if isinstance(error, TornError) else "is garbled"
        _log.warning("cache: %s: %s; it is made anew", self._index, reason)
        return None

    def _checked(self, raw: bytes) -> Any:
        index = json.loads(raw)
        if _digest_of_json(index["files"], index["about"]) != index["sha256"]:
            raise TornError("is garbled")
        for suffix, known in index["files"].items():
            path = self.file(suffix)
            stat = path.stat()
            if stat.st_size != known["bytes"]:
                has = f"has {stat.st_size:,} bytes of {known['bytes']:,}"
                raise TornError(f"{path.name} {has}")
            state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if _digest_of_file(path, state) != known["sha256"]:
                raise TornError(f"{path.name} is not what was written")
        return index["about"]

    def write(
        self, about: Any, data: Mapping[str, Callable[[IO[bytes]], object]]
    ) -> None:
        """Make the entry.

        Args:
            about: Anything JSON takes but null; it may be filled while data is written.
            data: Writes each file into what it is given, by suffix.

        Raises:
            DataError: The cache folder cannot be written.
            OSError: The disk is full.
        """
        files = {}
        try:
            for suffix, write in data.items():
                with replacing(self.file(suffix)) as file:
                    write(file)
                    size = file.seek(0, os.SEEK_END)
                    file.seek(0)
                    digest = _digest_of_rest(file)
                files[suffix] = {"bytes": size, "sha256": digest}
            digest = _digest_of_json(files, about)
            checked = {"files": files, "about": about, "sha256": digest}
            # Last: until it is there, or while it is of other files, they do not count.
            with replacing(self._index) as file:
                file.write(json.dumps(checked).encode())
        except OSError as error:
            if is_disk_full(error):
                raise
            raise DataError(
                f"cache: {self._folder} must be writable ({error.strerror}); set "
                "D2V_CACHE to a folder that is"
            ) from error


class TornError(ValueError):
    """A file is not what was written; the message says how that is known."""


def _digest_of_json(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=256)
def _digest_of_file(path: Path, state: tuple[int, int, int]) -> str:
    """Compute SHA-256 of a file, once per process while ``state`` stays the same."""
    with path.open("rb") as file:
        return _digest_of_rest(file)


def _digest_of_rest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def files_digest(root: Path, files: Sequence[Path], mark: Mark | None = None) -> str:
    """Digest names and content (or sizes) of files below ``root``: 16 hex digits.

    The content is read again only when a name, size or modification time changed. Files
    that cannot be read count by name; who opens them says what is wrong with them.

    Args:
        root: Folder of all of them.
        files: The files, in their order.
        mark: Whether a file was read otherwise by earlier versions: then the digest is
            another one, so that what they made of it is not taken for ours.
    """
    sizes, fingerprint = _fingerprint(root, files)
    suffix = f"-{mark.__name__}" if mark else ""
    entry = CacheEntry("digests", fingerprint + suffix)
    if known := entry.read():
        return str(known["digest"])
    whole, all_readable = _is_hashed(sizes), min(sizes, default=0) >= 0
    content = hashlib.sha256()
    sized = zip(files, sizes, strict=True)
    for path, size in with_progress(sized, "reading", len(files), "files"):
        line = f"{path.relative_to(root)}\0{size}\n"
        content.update(line.encode(errors="surrogateescape"))
        if not whole:
            continue
        try:
            content.update(hashlib.sha256(path.read_bytes()).digest())
            if mark is not None and mark(path):
                content.update(b"read otherwise")
        except OSError:
            all_readable = False
    digest = content.hexdigest()[:16]
    if all_readable:
        entry.write({"digest": digest, "root": str(root)}, {})
    return digest


def content_key(root: Path, files: Sequence[Path], digest: str) -> str:
    """Name the content of files: their digest, and times where that holds only sizes.

    Otherwise a large set that changed without changing its size would be read from what
    was made of the old one.
    """
    sizes, fingerprint = _fingerprint(root, files)
    return digest if _is_hashed(sizes) else f"{digest}-{fingerprint[:16]}"


def _is_hashed(sizes: Sequence[int]) -> bool:
    """Whether a digest covers the content of files of these sizes."""
    return sum(sizes) <= FULL_HASH_BYTES


def _fingerprint(root: Path, files: Sequence[Path]) -> tuple[list[int], str]:
    """Return sizes in bytes, and 32 hex digits over place, names, sizes and times."""
    sizes, fingerprint = [], hashlib.sha256(str(root.resolve()).encode())
    for path in files:
        size, modified = _size_and_time(path)
        line = f"{path.relative_to(root)}\0{size}\0{modified}\n"
        fingerprint.update(line.encode(errors="surrogateescape"))
        sizes.append(size)
    return sizes, fingerprint.hexdigest()[:32]


def _size_and_time(path: Path) -> tuple[int, int]:
    """Return bytes and nanoseconds of the last change; a size of -1: out of reach."""
    try:
        stat = path.stat()
    except OSError:
        return -1, 0
    return stat.st_size, stat.st_mtime_ns
