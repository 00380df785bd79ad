"""Any folder of images without labels, flat or nested; some are held out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2v_core.config.vision import ImagesData
from d2v_core.data.cache import content_key, files_digest
from d2v_core.data.inventory import Inventory, too_few
from d2v_core.data.splits import hold_out_named
from d2v_core.data.vision.broken_images import CheckedSplit, settle_broken
from d2v_core.data.vision.decoded_images import open_images
from d2v_core.data.vision.folders import (
    IMAGE_SUFFIXES,
    pixel_statistics,
    source_folder,
)
from d2v_core.data.vision.images import ImageDataset, Split
from d2v_core.data.vision.pictures import is_read_otherwise
from d2v_core.data.walk import files_below
from d2v_core.errors import DataError

MIN_IMAGES = 2
"""One to train on and one to hold out."""
FEW_HELD_OUT = 256
"""Below it a reader is told that RankMe is bounded by the number of images."""


@dataclass(frozen=True)
class FoundImages:
    """The image files below a folder.

    Attributes:
        root: The folder.
        paths: Files, sorted.
        left_out: How many other files lie there, by reason.
    """

    root: Path
    paths: list[Path]
    left_out: Mapping[str, int]

    def digest(self) -> str:
        """Digest the files: 16 hex digits."""
        return files_digest(self.root, self.paths, is_read_otherwise)


def find_images(data: ImagesData) -> FoundImages:
    """List every image file below the folder.

    Raises:
        DataError: The folder is not there, or holds fewer than two images.
    """
    root = source_folder(data.root, data.folder)
    paths, left_out = files_below(root, IMAGE_SUFFIXES)
    if len(paths) < MIN_IMAGES:
        why = "".join(f"; {count:,} {text}" for text, count in left_out.items())
        raise DataError(
            f"{root}: must hold at least {MIN_IMAGES} images "
            f"({' '.join(sorted(IMAGE_SUFFIXES))}), one to train on and one to hold "
            f"out, found {len(paths)}{why}"
        )
    return FoundImages(root, paths, left_out)


def load_unlabelled(
    found: FoundImages, data: ImagesData, *, size: int, channels: int
) -> ImageDataset:
    """Decode or open the images; ``valid`` is held out, ``test`` is empty.

    Args:
        found: The files.
        data: Says how many are held out.
        size: Side in pixels.
        channels: 1 for grey, 3 for RGB.

    Raises:
        DataError: Files that cannot be decoded, all named at once, or too few are left.
    """
    digest = found.digest()
    key = f"{content_key(found.root, found.paths, digest)}-all"
    reader, broken = open_images(
        found.paths, size=size, channels=channels, key=key, on_error=data.on_error
    )
    labels = np.zeros(len(found.paths), np.int64)
    checked = CheckedSplit(labels, broken)
    notes = settle_broken(
        {"all": checked},
        root=found.root,
        classes=(os.fspath(found.root),),
        on_error=data.on_error,
    )
    names = [found.paths[i].relative_to(found.root).as_posix() for i in checked.kept]
    if len(names) < MIN_IMAGES:
        message = f"at least {MIN_IMAGES} images must decode, {len(names)} does"
        raise DataError(f"{found.root}: {message}")
    kept, held = hold_out_named(names, data.held_out_fraction)
    everything = Split(reader, labels[checked.kept])
    train = everything.subset(kept)
    mean, std = pixel_statistics(train.images)
    if len(held) < FEW_HELD_OUT:
        few = f"only {len(held):,} images are held out; RankMe is at most that number"
        notes = (*notes, few, *too_few(len(names), "images"))
    left_out = Counter(found.left_out) + Counter({"that do not decode": len(broken)})
    return ImageDataset(
        name=f"images in {found.root.name}, no labels",
        digest=digest,
        classes=(),
        train=train,
        valid=everything.subset(held),
        test=everything.subset(held[:0]),
        mean=mean,
        std=std,
        notes=notes,
        inventory=Inventory(
            unit="image files",
            used={"train": len(kept), "held out": len(held)},
            left_out=left_out,
        ),
    )
