"""CIFAR-10, CIFAR-100 and ImageNet through torchvision, from the data root.

CIFAR's official test split is the test split. ImageNet's official validation split is
the test split, as in the paper; validation is held out of its training split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from d2v_core.config.vision import TorchvisionData
from d2v_core.data.cache import files_digest
from d2v_core.data.inventory import Inventory, is_leftover, listed
from d2v_core.data.splits import hold_out
from d2v_core.data.vision.folders import (
    FolderListing,
    ImageFolders,
    data_root,
    load_image_folders,
    pixel_statistics,
)
from d2v_core.data.vision.images import ArrayImages, ImageDataset, Split
from d2v_core.data.vision.resize import resize_array
from d2v_core.errors import DataError


def cifar_of(source: str) -> type[Any]:
    """The class of torchvision that reads ``cifar10`` or ``cifar100``."""
    from torchvision import datasets  # two seconds, for these data sets alone

    classes: dict[str, type[Any]] = {
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
    }
    return classes[source]


def torchvision_digest(config: TorchvisionData) -> str:
    """Digest the files torchvision reads."""
    root = data_root(config.root)
    if config.source == "imagenet":
        return _imagenet_folders(root).digest()
    open_cifar(config, train=True)
    folder = root / cifar_of(config.source).base_folder
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return files_digest(folder, files)


def load_torchvision(
    config: TorchvisionData, *, size: int, channels: int
) -> ImageDataset:
    """Load the set at ``size`` x ``size`` pixels.

    Raises:
        DataError: The files are not below the root, or are broken.
    """
    if config.source == "imagenet":
        return load_image_folders(
            _imagenet_folders(data_root(config.root)),
            size=size,
            channels=channels,
            validation_fraction=config.validation_fraction,
            on_error=config.on_error,
        )
    parts = {}
    for name, train in (("train", True), ("test", False)):
        cifar = open_cifar(config, train=train)
        images = resize_array(cifar.data.transpose(0, 3, 1, 2), size)
        if channels == 1:
            images = np.rint(images.mean(axis=1, keepdims=True)).astype(np.uint8)
        parts[name] = Split(ArrayImages(images), np.array(cifar.targets, np.int64))
    kept, held = hold_out(parts["train"].labels, config.validation_fraction)
    train_split = parts["train"].subset(kept)
    mean, std = pixel_statistics(train_split.images)
    sizes = {"train": len(kept), "valid": len(held), "test": len(parts["test"])}
    return ImageDataset(
        name=config.source,
        digest=torchvision_digest(config),
        classes=tuple(cifar.classes),
        train=train_split,
        valid=parts["train"].subset(held),
        test=parts["test"],
        mean=mean,
        std=std,
        inventory=Inventory("images", sizes),
    )


def open_cifar(config: TorchvisionData, *, train: bool) -> Any:
    """Open the CIFAR object of torchvision.

    Raises:
        DataError: torchvision does not find the files or their checksums differ.
    """
    root, cifar = data_root(config.root), cifar_of(config.source)
    try:
        return cifar(root, train=train, download=config.download)
    except RuntimeError as error:
        raise DataError(
            f"data.root: torchvision finds no {config.source} below {root} ({error}); "
            f"it must hold {cifar.base_folder}/ as torchvision lays it "
            "out, or set data.download=true"
        ) from None


def _imagenet_folders(root: Path) -> ImageFolders:
    """List ImageNet's extracted folders ``train`` and ``val``, as torchvision sorts."""
    missing = [name for name in ("train", "val") if not (root / name).is_dir()]
    if missing:
        raise DataError(
            f"data.root: {root} must hold ImageNet's extracted folders train/ and val/,"
            f" missing: {', '.join(missing)}"
        )
    from torchvision.datasets import folder as listing

    splits = {}
    try:
        classes, index = listing.find_classes(root / "train")
        if leftovers := [name for name in classes if is_leftover(name)]:
            message = "must hold class folders only; remove"
            raise DataError(f"{root / 'train'}: {message} {listed(leftovers)}")
        if len(classes) < 2:
            message = "must hold at least 2 class folders, holds only"
            raise DataError(f"{root / 'train'}: {message} {listed(classes)}")
        samples_of = {
            split: listing.make_dataset(
                str(root / folder), index, extensions=listing.IMG_EXTENSIONS
            )
            for split, folder in (("train", "train"), ("test", "val"))
        }
    except FileNotFoundError as error:
        raise DataError(
            f"data.root: {root} must hold train/<class>/<image> and the same classes "
            f"in val/: {error}"
        ) from None
    for split, samples in samples_of.items():
        splits[split] = FolderListing(
            paths=[Path(path) for path, _ in samples],
            labels=np.array([label for _, label in samples], np.int64),
        )
    return ImageFolders(root=root, classes=tuple(classes), splits=splits)
