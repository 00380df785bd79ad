"""A folder of images, looked at."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from d2v_core.config.vision import ImagesData
from d2v_core.data.check.checked import (
    Checked,
    Shown,
    extent,
    inventory_facts,
    spread,
)
from d2v_core.data.inventory import listed, too_few
from d2v_core.data.vision.folders import find_image_folders, load_image_folders
from d2v_core.data.vision.images import ImageDataset
from d2v_core.data.vision.pictures import DECODING_ERRORS, as_shown
from d2v_core.data.vision.unlabelled import find_images, load_unlabelled
from d2v_core.sizing import ImageFacts

CHECKED_SIZE = 32
"""Side in pixels that images are decoded to, to see whether they do."""
MAX_HEADERS = 2_000
"""Files whose size in pixels is looked at."""
THUMBNAIL = 160
GREY = ("1", "L", "LA", "I", "I;16", "F")
"""Pillow's modes without colour."""


def check_images(folder: Path, source: str) -> Checked:
    """Decode every image of a folder once and tell what it holds.

    Args:
        folder: An existing folder.
        source: ``images`` or ``image_folder``.

    Raises:
        DataError: It cannot be used.
    """
    if source == "images":
        listed = find_images(ImagesData(folder=str(folder)))
        data = ImagesData(folder=str(folder), on_error="skip")
        paths, labels = listed.paths, [""] * len(listed.paths)
        dataset = load_unlabelled(listed, data, size=CHECKED_SIZE, channels=3)
    else:
        folders = find_image_folders(None, str(folder))
        dataset = load_image_folders(
            folders,
            size=CHECKED_SIZE,
            channels=3,
            validation_fraction=0.1,
            on_error="skip",
        )
        paths = folders.files
        labels = [path.parent.name for path in paths]
    used = sum(dataset.inventory.used.values())
    headers = _headers(paths)
    return Checked(
        modality="vision",
        source=source,
        labelled=bool(dataset.classes),
        facts=(
            *inventory_facts(dataset.inventory),
            *_classes(dataset, labels),
            *_sizes(headers, len(paths)),
        ),
        warnings=(
            *dataset.inventory.suspicious,
            *dataset.notes,
            *([] if dataset.classes else _like_classes(paths, folder)),
            *too_few(used, "images"),
        ),
        samples=tuple(
            shown
            for i in spread(len(paths))
            if (shown := _shown(paths[i], folder, labels[i])) is not None
        ),
        sizes=ImageFacts(
            count=used,
            side=int(np.median([min(h.width, h.height) for h in headers])),
            channels=1 if all(h.mode in GREY for h in headers) else 3,
        ),
    )


class _Header(NamedTuple):
    width: int
    height: int
    format: str
    mode: str


def _headers(paths: list[Path]) -> list[_Header]:
    """Sizes and kinds of some of the files that are images, of the first at least."""
    headers = []
    for i in spread(len(paths), MAX_HEADERS):
        try:
            with Image.open(paths[i]) as image:
                about = image.format or "", image.mode
                headers.append(_Header(image.width, image.height, *about))
        except DECODING_ERRORS:
            continue
    return headers


def _classes(dataset: ImageDataset, labels: list[str]) -> list[tuple[str, str]]:
    if not dataset.classes:
        return [("classes", "none: no labels, so RankMe is the score")]
    counts = Counter(labels)
    shown = listed(f"{name} {counts[name]:,}" for name in dataset.classes)
    return [("classes", f"{len(dataset.classes):,}: {shown}")]


def _like_classes(paths: list[Path], folder: Path) -> list[str]:
    """Warn where every image lies in one of several folders, as classes would."""
    parts = [path.relative_to(folder).parts for path in paths]
    names = sorted({part[0] for part in parts})
    if len(names) < 2 or any(len(part) == 1 for part in parts):
        return []
    return [
        f"the folders {listed(names)} are not taken for classes; if they are, move "
        "them below train/ and test/ for labels"
    ]


def _sizes(headers: list[_Header], num_files: int) -> list[tuple[str, str]]:
    formats = Counter(f"{header.format} {header.mode}" for header in headers)
    of = f" (of {MAX_HEADERS:,} files)" if num_files > MAX_HEADERS else ""
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in formats.most_common())
    return [
        (f"width in pixels{of}", extent([header.width for header in headers])),
        (f"height in pixels{of}", extent([header.height for header in headers])),
        (f"formats{of}", kinds),
    ]


def _shown(path: Path, folder: Path, label: str) -> Shown | None:
    """Give a small PNG of an image; None: it does not decode."""
    try:
        with Image.open(path) as file:
            size = f"{file.width} x {file.height}"
            image = as_shown(file).convert("RGB")
    except DECODING_ERRORS:
        return None
    # Small ones are enlarged without smoothing, so that their pixels are seen.
    if max(image.size) < THUMBNAIL:
        scale = THUMBNAIL // max(image.size)
        enlarged = (image.width * scale, image.height * scale)
        image = image.resize(enlarged, Image.Resampling.NEAREST)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file_like = io.BytesIO()
    image.save(file_like, "PNG")
    about = f"{label}, {size}" if label else size
    name = path.relative_to(folder).as_posix()
    return Shown(name=name, about=about, picture=file_like.getvalue())
