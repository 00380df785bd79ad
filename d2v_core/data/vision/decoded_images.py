"""Image files behind one reader: decoded once into the cache, or when they are read.

Small sets are kept decoded, memory-mapped; sets whose decoded images would exceed
:data:`MAX_CACHED_BYTES` are decoded when read. Either way every file is decoded once
beforehand, so that broken ones are known.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from d2v_core.config.vision import OnError
from d2v_core.data.cache import CacheEntry
from d2v_core.data.progress import with_progress
from d2v_core.data.vision.broken_images import Broken
from d2v_core.data.vision.images import (
    ArrayImages,
    FileImages,
    ImageReader,
    decode_each,
)

MAX_CACHED_BYTES = 4 * 2**30
NUM_DECODING_THREADS = min(16, os.cpu_count() or 1)
VERSION = 2
"""Part of the names of cached files; raise it when files are decoded otherwise."""


def open_images(
    paths: list[Path], *, size: int, channels: int, key: str, on_error: OnError
) -> tuple[ImageReader, list[Broken]]:
    """Open the images that decode, and name the files that do not.

    What was found is kept in the cache. Broken files are looked at again unless they
    are skipped: they may have been unreadable for the moment.

    Args:
        paths: The files of a split.
        size: Side in pixels of the decoded images.
        channels: 1 for grey, 3 for RGB.
        key: Changes when a file changes.
        on_error: Whether broken files are refused by whoever asks.
    """
    entry = CacheEntry("images", f"{key}-{size}x{size}x{channels}-v{VERSION}")
    small = len(paths) * channels * size * size <= MAX_CACHED_BYTES
    known = entry.read()
    if known is None or (known["broken"] and on_error == "raise"):
        known = {"broken": [], "num_images": 0}
        shape = (channels, size, size)
        write = partial(_decode_into, known, paths, shape, small)
        entry.write(known, {"npy": write})
    broken = [Broken(index, paths[index], reason) for index, reason in known["broken"]]
    if small and known["num_images"]:
        return ArrayImages(np.load(entry.file("npy"), mmap_mode="r")), broken
    lost = {file.index for file in broken}
    left = [path for i, path in enumerate(paths) if i not in lost]
    threads = NUM_DECODING_THREADS
    return FileImages(left, size=size, channels=channels, num_threads=threads), broken


def _decode_into(
    about: dict[str, Any],
    paths: Sequence[Path],
    shape: tuple[int, int, int],
    keep: bool,
    file: IO[bytes],
) -> None:
    """Write the images that decode, if they are kept; fill in which do not."""
    _write_header(file, (0, *shape))
    channels, size, _ = shape
    threads = NUM_DECODING_THREADS
    decoded = decode_each(paths, size=size, channels=channels, num_threads=threads)
    decoded = with_progress(decoded, "decoding", len(paths), "images")
    for index, image in enumerate(decoded):
        if isinstance(image, str):
            about["broken"].append([index, image])
        elif keep:
            file.write(image.tobytes())
            about["num_images"] += 1
    file.seek(0)
    # As long as before: numpy leaves room in the header for the first axis to grow.
    _write_header(file, (about["num_images"], *shape))


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
