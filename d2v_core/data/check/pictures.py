"""A folder of images, looked at."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

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

CHECKED_SIZE = 32
"""Side in pixels that images are decoded to, to see whether they do."""
MAX_HEADERS = 2_000
"""Files whose size in pixels is looked at."""
THUMBNAIL = 160


def check_images(folder: Path, source: str) -> Checked:
    """Decode every image of a folder once and tell what it holds.

    Args:
        folder: An existing folder.
        source: ``images`` or ``image_folder``.

    Raises:
        DataError: It cannot be used.
    """
    if source == "images":
        found = find_images(ImagesData(folder=str(folder)))
        data = ImagesData(folder=str(folder), on_error="skip")
        paths, labels = found.paths, [""] * len(found.paths)
        dataset = load_unlabelled(found, data, size=CHECKED_SIZE, channels=3)
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
    return Checked(
        modality="vision",
        source=source,
        labelled=bool(dataset.classes),
        facts=(
            *inventory_facts(dataset.inventory),
            *_classes(dataset, labels),
            *_sizes(paths),
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
    )


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


def _sizes(paths: list[Path]) -> list[tuple[str, str]]:
    looked_at = [paths[i] for i in spread(len(paths), MAX_HEADERS)]
    widths, heights, formats = [], [], Counter[str]()
    for path in looked_at:
        try:
            with Image.open(path) as image:
                widths.append(image.width)
                heights.append(image.height)
                formats[f"{image.format} {image.mode}"] += 1
        except DECODING_ERRORS:
            continue
    if not widths:
        return []
    of = f" (of {len(looked_at):,} files)" if len(looked_at) < len(paths) else ""
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in formats.most_common())
    return [
        (f"width in pixels{of}", extent(widths)),
        (f"height in pixels{of}", extent(heights)),
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
