"""Any folder of images without labels, flat or nested; some are held out."""

from __future__ import annotations

import os
from collections import Counter

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
from d2v_core.data.walk import MIN_FILES, FoundFiles, find_files
from d2v_core.errors import DataError

FEW_HELD_OUT = 256
"""Below it a reader is told that RankMe is bounded by the number of images."""


def find_images(data: ImagesData) -> FoundFiles:
    """List every image file below the folder.

    Raises:
        DataError: The folder is not there, or holds fewer than two images.
    """
    return find_files(source_folder(data.root, data.folder), IMAGE_SUFFIXES, "images")


def images_digest(files: FoundFiles) -> str:
    """Digest the files: 16 hex digits."""
    return files_digest(files.root, files.paths, is_read_otherwise)


def load_unlabelled(
    files: FoundFiles, data: ImagesData, *, size: int, channels: int
) -> ImageDataset:
    """Decode or open the images; ``valid`` is held out, ``test`` is empty.

    Args:
        files: The files.
        data: Says how many are held out.
        size: Side in pixels.
        channels: 1 for grey, 3 for RGB.

    Raises:
        DataError: Files that cannot be decoded, all named at once, or too few are left.
    """
    digest = images_digest(files)
    key = f"{content_key(files.root, files.paths, digest)}-all"
    reader, broken = open_images(
        files.paths, size=size, channels=channels, key=key, on_error=data.on_error
    )
    labels = np.zeros(len(files.paths), np.int64)
    checked = CheckedSplit(labels, broken)
    notes = settle_broken(
        {"all": checked},
        root=files.root,
        classes=(os.fspath(files.root),),
        on_error=data.on_error,
    )
    names = [files.name(files.paths[i]) for i in checked.kept]
    if len(names) < MIN_FILES:
        message = f"at least {MIN_FILES} images must decode, {len(names)} does"
        raise DataError(f"{files.root}: {message}")
    kept, held = hold_out_named(names, data.held_out_fraction)
    everything = Split(reader, labels[checked.kept])
    train = everything.subset(kept)
    mean, std = pixel_statistics(train.images)
    if len(held) < FEW_HELD_OUT:
        few = f"only {len(held):,} images are held out; RankMe is at most that number"
        notes = (*notes, few, *too_few(len(names), "images"))
    left_out = Counter(files.left_out) + Counter({"that do not decode": len(broken)})
    return ImageDataset(
        name=f"images in {files.root.name}, no labels",
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
