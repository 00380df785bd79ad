"""Image folders ``<root>/<split>/<class>/<image>``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from d2v_core.config.vision import OnError
from d2v_core.data.cache import content_key, files_digest
from d2v_core.data.inventory import (
    Inventory,
    is_leftover,
    listed,
    missing_classes,
    suspicious_classes,
)
from d2v_core.data.splits import hold_out
from d2v_core.data.vision.broken_images import CheckedSplit, settle_broken
from d2v_core.data.vision.decoded_images import open_images
from d2v_core.data.vision.images import ImageDataset, ImageReader, Split
from d2v_core.data.vision.pictures import is_read_otherwise
from d2v_core.errors import DataError

MAX_CLASSES = 100_000
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class FolderListing:
    """The image files of one split.

    Attributes:
        paths: Files, sorted by class and name.
        labels: Class index of each file.
        left_out: How many other files lie there, by reason.
    """

    paths: list[Path]
    labels: np.ndarray
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageFolders:
    """The splits found below a root, and their common classes."""

    root: Path
    classes: tuple[str, ...]
    splits: dict[str, FolderListing]

    @property
    def files(self) -> list[Path]:
        """All files of all splits."""
        listings = [self.splits[name] for name in sorted(self.splits)]
        return [path for listing in listings for path in listing.paths]

    def digest(self) -> str:
        """Digest all files of all splits."""
        return files_digest(self.root, self.files, is_read_otherwise)


def data_root(root: str | None) -> Path:
    """Locate the data root, an existing folder.

    Raises:
        DataError: No root was given, or it does not exist.
    """
    if root is None:
        raise DataError(
            "data.root: this recipe reads from disk and no data root was given; "
            "pass --data-root FOLDER or set D2V_DATA, or give a folder of your own as "
            "--set data.folder=FOLDER"
        )
    path = Path(root).expanduser()
    if not path.is_dir():
        raise DataError(
            f"data.root: must be an existing folder, got {str(path)!r}; pass "
            "--data-root FOLDER or set D2V_DATA"
        )
    return path


def source_folder(root: str | None, folder: str) -> Path:
    """Locate a source's folder: a whole path as it stands, else below the data root.

    Raises:
        DataError: It is not there, or is no folder.
    """
    path = Path(folder).expanduser()
    if not path.is_absolute():
        path = data_root(root) / path
    if path.is_file():
        message = "must be a folder, is a file; put it into a folder of its own"
        raise DataError(f"data.folder: {message}: {path}")
    if not path.is_dir():
        message = "must be an existing folder, whole or below the data root"
        remedy = "a folder of your own: --set data.folder=FOLDER"
        raise DataError(f"data.folder: {message}, got {str(path)!r}; {remedy}")
    return path


def find_image_folders(root: str | None, folder: str) -> ImageFolders:
    """List train, validation (``valid`` or ``val``, optional) and test images.

    Args:
        root: The data root.
        folder: Folder below it that holds the splits; when it is missing, the root
            itself is taken.

    Raises:
        DataError: A split is missing, empty, or has classes that train has not; a class
            has no images, or there is only one.
    """
    if Path(folder).is_absolute():
        base = source_folder(root, folder)
    else:
        base = data_root(root)
        if folder and (base / folder).is_dir():
            base = base / folder
    missing = [name for name in ("train", "test") if not (base / name).is_dir()]
    if missing:
        raise DataError(
            f"data.root: {base} must hold the folders train/<class> and test/<class> "
            "(images in any other folder are used without labels: --set data.folder="
            f"FOLDER), missing: {', '.join(missing)}"
        )
    classes = tuple(sorted(_class_folders(base / "train")))
    if len(classes) > MAX_CLASSES:
        message = f"must hold at most {MAX_CLASSES:,} class folders"
        raise DataError(f"{base / 'train'}: {message}, holds {len(classes):,}")
    names = {"train": "train", "test": "test"}
    given = [name for name in ("valid", "val") if (base / name).is_dir()]
    if given:
        names["valid"] = given[0]
    splits = {split: _list_split(base / name, classes) for split, name in names.items()}
    if len(classes) < 2:
        message = "must hold at least 2 class folders, holds only"
        raise DataError(
            f"{base / 'train'}: {message} {classes[0]!r}; a probe tells classes apart. "
            "To use the images without labels: --set data.source=images"
        )
    return ImageFolders(root=base, classes=classes, splits=splits)


def _class_folders(folder: Path) -> set[str]:
    return {
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not is_leftover(entry.name)
    }


def _list_split(folder: Path, classes: Sequence[str]) -> FolderListing:
    if unknown := sorted(_class_folders(folder) - set(classes)):
        raise DataError(
            f"{folder}: every class must also stand in train, unknown: "
            f"{listed(unknown)}"
        )
    left_out = _beside_classes(folder)
    paths: list[Path] = []
    labels: list[int] = []
    empty: list[str] = []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue
        files, others = _list_class(folder / name)
        paths += [folder / name / file for file in files]
        labels += [label] * len(files)
        left_out += others
        if not files:
            why = ", ".join(f"{count:,} {reason}" for reason, count in others.items())
            empty.append(f"{name!r} ({why or 'empty'})")
    if not paths:
        why = f"; left out: {dict(left_out)}" if left_out else ""
        raise DataError(f"{folder}: must hold images in class folders, found none{why}")
    if empty:
        raise DataError(
            f"{folder}: every class folder must hold images "
            f"({' '.join(sorted(IMAGE_SUFFIXES))}), without any: {listed(empty)}; "
            "convert or rename the files, or remove the folder"
        )
    labelled = np.array(labels, dtype=np.int64)
    return FolderListing(paths=paths, labels=labelled, left_out=left_out)


def _list_class(folder: Path) -> tuple[list[str], Counter[str]]:
    """List the images, sorted, and count the other files by reason."""
    files: list[str] = []
    others: Counter[str] = Counter()
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if is_leftover(entry.name):
                others["hidden or left by tools"] += 1
            elif suffix in IMAGE_SUFFIXES:
                files.append(entry.name)
            elif entry.is_dir():
                others["in folders below classes"] += _count_files(entry.path)
            else:
                kind = f"unknown suffix {suffix}" if suffix else "no suffix"
                others[f"with {kind}"] += 1
    return sorted(files), others


def _beside_classes(folder: Path) -> Counter[str]:
    """Count files of a split that lie in no class folder, by reason."""
    others: Counter[str] = Counter()
    for entry in folder.iterdir():
        if not entry.is_dir():
            others["outside of class folders"] += 1
        elif is_leftover(entry.name):
            others[f"in {entry.name}"] += _count_files(entry)
    return others


def _count_files(folder: Path | str) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def load_image_folders(
    folders: ImageFolders,
    *,
    size: int,
    channels: int,
    validation_fraction: float,
    on_error: OnError = "raise",
) -> ImageDataset:
    """Decode or open the splits; validation is held out of train when not given.

    Raises:
        DataError: Files that cannot be decoded, all named at once, or a class that
            would lose all its images.
    """
    digest = folders.digest()
    readers: dict[str, ImageReader] = {}
    checked: dict[str, CheckedSplit] = {}
    for name, listing in folders.splits.items():
        key = f"{content_key(folders.root, folders.files, digest)}-{name}"
        readers[name], broken = open_images(
            listing.paths, size=size, channels=channels, key=key, on_error=on_error
        )
        checked[name] = CheckedSplit(listing.labels, broken)
    notes = settle_broken(
        checked, root=folders.root, classes=folders.classes, on_error=on_error
    )
    opened = {
        name: Split(readers[name], split.labels[split.kept])
        for name, split in checked.items()
    }
    train = opened["train"]
    if "valid" in opened:
        valid = opened["valid"]
    else:
        kept, held = hold_out(train.labels, validation_fraction)
        train, valid = train.subset(kept), train.subset(held)
    mean, std = pixel_statistics(train.images)
    return ImageDataset(
        name=f"image folder {folders.root.name}",
        digest=digest,
        classes=folders.classes,
        train=train,
        valid=valid,
        test=opened["test"],
        mean=mean,
        std=std,
        notes=notes,
        inventory=_inventory(folders, checked),
    )


def _inventory(folders: ImageFolders, checked: Mapping[str, CheckedSplit]) -> Inventory:
    left_out: Counter[str] = Counter()
    for name, split in checked.items():
        left_out += Counter(folders.splits[name].left_out)
        left_out += Counter({"that do not decode": len(split.broken)})
    labels = {
        name: split.labels[split.kept].tolist() for name, split in checked.items()
    }
    return Inventory(
        unit="image files",
        used={name: len(split) for name, split in labels.items()},
        left_out=left_out,
        suspicious=(
            *suspicious_classes(folders.classes),
            *missing_classes(folders.classes, labels),
        ),
    )


def pixel_statistics(
    images: ImageReader, num_images: int = 10_000
) -> tuple[np.ndarray, np.ndarray]:
    """Measure mean and deviation per channel of the first images, in [0, 1] units."""
    step = max(1, len(images) // num_images)
    pixels = images.read(np.arange(0, len(images), step)[:num_images]).double() / 255.0
    std = pixels.std(dim=(0, 2, 3)).clamp_min(1e-3)
    return pixels.mean(dim=(0, 2, 3)).numpy(), std.numpy()
