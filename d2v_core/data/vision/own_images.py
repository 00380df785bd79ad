"""Images that the user's own function gives, as arrays in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from d2v_core.config.vision import OwnImages, VisionTrial
from d2v_core.data.inventory import Inventory
from d2v_core.data.vision.images import ArrayImages, ImageDataset, Split
from d2v_core.own.kinds import DATA
from d2v_core.own.loading import given_once, own, tried

Arrays = tuple[np.ndarray, np.ndarray]
"""Images and labels."""
SPLITS = ("train", "valid", "test")


def load_own_images(trial: VisionTrial, data: OwnImages) -> ImageDataset:
    """The three splits at the encoder's size and channels; the digest is of the arrays.

    Raises:
        ConfigError: The function cannot be called, or gives something else.
    """
    size, channels = trial.vision.image_size, trial.vision.channels

    def load() -> ImageDataset:
        path, given = "data.function", data.function
        function = own(trial, path, DATA, given, data.settings)
        shape = channels, size, size

        def call() -> dict[str, Arrays]:
            return _splits(function(data.root, size, channels), shape)

        return _dataset(given.partition("@")[0], tried(path, DATA, given, call))

    return given_once(DATA, f"{data.model_dump_json()} {size} {channels}", load)


def _splits(given: Any, shape: tuple[int, int, int]) -> dict[str, Arrays]:
    """Images and labels of each split as arrays.

    Raises:
        ValueError: A split is missing, or of another type or length.
    """
    if not isinstance(given, Mapping) or set(given) != set(SPLITS):
        names = sorted(map(str, given)) if isinstance(given, Mapping) else type(given)
        raise ValueError(f"the splits must be train, valid and test, got {names}")
    splits = {}
    for name in SPLITS:
        images, labels = (np.asarray(part) for part in given[name])
        if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
            actual = f"{images.dtype} of shape {images.shape}"
            wanted = f"images of uint8, each of shape {shape}"
            raise ValueError(f"{name} must have {wanted}, got {actual}")
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            actual = f"{labels.dtype} of shape {labels.shape}"
            wanted = f"a whole number for each of {len(images)} images"
            raise ValueError(f"{name} must have labels, {wanted}, got {actual}")
        splits[name] = images, labels.astype(np.int64)
    classes = np.unique(splits["train"][1])
    for name, (_, labels) in splits.items():
        if not np.isin(labels, classes).all() or (classes != range(len(classes))).any():
            actual = f"{sorted(set(labels.tolist()))[:10]} in {name}"
            raise ValueError(f"labels must count from 0, all in train, got {actual}")
    return splits


def _dataset(name: str, splits: Mapping[str, Arrays]) -> ImageDataset:
    hashed = hashlib.sha256()
    for images, labels in splits.values():
        hashed.update(repr(images.shape).encode())
        hashed.update(np.ascontiguousarray(images).tobytes() + labels.tobytes())
    train, labels = splits["train"]
    pixels = train / 255.0
    std = pixels.std(axis=(0, 2, 3))
    made = {k: Split(ArrayImages(images), y) for k, (images, y) in splits.items()}
    return ImageDataset(
        name=name,
        digest=hashed.hexdigest()[:16],
        classes=tuple(str(number) for number in range(int(labels.max()) + 1)),
        train=made["train"],
        valid=made["valid"],
        test=made["test"],
        mean=pixels.mean(axis=(0, 2, 3)),
        std=np.where(std > 0.0, std, 1.0),
        inventory=Inventory("images", {k: len(split) for k, split in made.items()}),
    )
