"""Images in memory or on disk behind one reading interface, and labelled splits."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from d2v_core.data.inventory import Inventory
from d2v_core.errors import DataError

DECODING_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises for files that are no image, cut short or too large."""

MAX_PIXELS = 89_478_485
"""Of one file: above it Pillow suspects a decompression bomb; 256 MiB decoded."""
FILES_AT_A_TIME = 1_024

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the width and height of a square image."""


@runtime_checkable
class ImageReader(Protocol):
    """Random access to images of one size."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def read(
        self, indices: np.ndarray, boxes: Sequence[Box] | None = None
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Decoded images; with ``boxes``, each cropped to its box first."""
        ...


class ArrayImages:
    """Decoded images in memory or memory-mapped.

    Args:
        array: uint8 of shape (images, channels, height, width).
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def read(
        self, indices: np.ndarray, boxes: Sequence[Box] | None = None
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Images at ``indices``; boxes are resized back bilinearly with antialias."""
        images = torch.from_numpy(np.ascontiguousarray(self.array[indices]))
        if boxes is None:
            return images
        size = (images.shape[2], images.shape[3])
        return torch.stack(
            [_crop(image, box, size) for image, box in zip(images, boxes, strict=True)]
        )


def _crop(image: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    left, top = round(box[0] * size[1]), round(box[1] * size[0])
    right = max(left + 1, round(box[2] * size[1]))
    bottom = max(top + 1, round(box[3] * size[0]))
    crop = image[None, :, top:bottom, left:right]
    resized = torch.nn.functional.interpolate(
        crop, size=size, mode="bilinear", antialias=True
    )
    return resized[0]


class FileImages:
    """Image files, decoded when read, by a pool of threads.

    Args:
        paths: One file per image.
        size: Side in pixels that images are resized and cropped to.
        channels: 1 for grey, 3 for RGB.
        num_threads: Decoding threads (Pillow releases the interpreter lock).
    """

    def __init__(
        self, paths: Sequence[Path], *, size: int, channels: int, num_threads: int
    ) -> None:
        self.paths, self.size, self.channels = list(paths), size, channels
        self.num_threads = num_threads

    def __len__(self) -> int:
        return len(self.paths)

    def read(
        self, indices: np.ndarray, boxes: Sequence[Box] | None = None
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Decode images; without boxes: shorter side resized, centre cropped."""
        jobs = [self.paths[i] for i in indices]
        crops = boxes if boxes is not None else [None] * len(jobs)
        with ThreadPoolExecutor(self.num_threads) as pool:
            images = pool.map(self._decode, jobs, crops)
            return torch.from_numpy(np.stack(list(images)))

    def _decode(self, path: Path, box: Box | None) -> np.ndarray:
        try:
            return decode_image(path, size=self.size, channels=self.channels, box=box)
        except DECODING_ERRORS as error:  # it did when the data was checked
            raise DataError(f"data: {path} no longer decodes: {error}") from error


def decode_image(
    path: Path, *, size: int, channels: int, box: Box | None = None
) -> np.ndarray:
    """Decode one image file to uint8 of shape (channels, size, size).

    Raises:
        OSError: The file is not an image or is cut short.
        ValueError: It is too large, or its pixels have no known range.
    """
    with Image.open(path) as file:
        image = as_shown(file).convert("L" if channels == 1 else "RGB")
    if box is None:
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        pixels = (left, top, left + side, top + side)
    else:
        pixels = pixel_box(box, image.width, image.height)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=pixels)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def as_shown(file: Image.Image) -> Image.Image:
    """Load a picture as viewers show it: upright, with 8 bits, over white.

    Pillow alone ignores the camera's orientation, cuts 16 bits off at 255, and uncovers
    whatever colour lies under transparent pixels.

    Raises:
        ValueError: It is too large, or its pixels have no known range.
    """
    if file.width * file.height > MAX_PIXELS:
        size = f"{file.width:,} x {file.height:,}"
        raise ValueError(f"must have at most {MAX_PIXELS:,} pixels, has {size}")
    file.load()
    image = file if _orientation(file) == 1 else ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint32) + 128) // 257
        return Image.fromarray(grey.astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("must have 8 or 16 bits per channel, has 32 of unknown range")
    if not image.has_transparency_data:
        return image
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def is_read_otherwise(path: Path) -> bool:
    """Whether Pillow alone, as earlier versions, would not see what a viewer shows."""
    try:
        with Image.open(path) as file:
            if file.mode.startswith("I;16"):
                return True
            if file.format != "TIFF" and _orientation(file) != 1:  # Pillow turns those
                return True
            if not file.has_transparency_data:
                return False
            least, _ = file.convert("RGBA").getchannel("A").getextrema()
            return bool(least != 255)
    except DECODING_ERRORS:
        return False


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (*DECODING_ERRORS, TypeError):  # viewers ignore tags that are broken
        return 1


def pixel_box(box: Box, width: int, height: int) -> Box:
    """A box drawn on a square, in pixels of an image of another shape.

    It keeps its share of the area and its aspect in pixels, and its place as a share of
    the free space; where it is longer than the image it shrinks (torchvision's random
    resized crop draws again instead).
    """
    across, down = box[2] - box[0], box[3] - box[1]
    side = math.sqrt(width * height)
    side *= min(1.0, width / (across * side), height / (down * side))
    left, right = _place(box[0], across, across * side, width)
    top, bottom = _place(box[1], down, down * side, height)
    return left, top, right, bottom


def _place(start: float, share: float, length: float, size: int) -> tuple[float, float]:
    """First and last pixel along one axis, never outside the image."""
    free = max(0.0, size - length)
    begin = min(free, free * start / (1.0 - share)) if share < 1.0 else free / 2
    return begin, min(float(size), begin + length)


def decode_each(
    paths: Sequence[Path], *, size: int, channels: int, num_threads: int
) -> Iterator[np.ndarray | str]:
    """Decode every file in order: the image, or the reason why there is none.

    Args:
        paths: The files.
        size: Side in pixels of the decoded images.
        channels: 1 for grey, 3 for RGB.
        num_threads: Decoding threads.
    """

    def decode(path: Path) -> np.ndarray | str:
        try:
            return decode_image(path, size=size, channels=channels)
        except DECODING_ERRORS as error:
            return str(error).replace(str(path), path.name)

    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(paths), FILES_AT_A_TIME):  # bounds what waits
            yield from pool.map(decode, paths[start : start + FILES_AT_A_TIME])


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        images: The images.
        labels: int64 class indices of shape (images,).
    """

    images: ImageReader
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> Split:
        """A view of some images."""
        return Split(Subset(self.images, indices), self.labels[indices])


class Subset:
    """Some of the images of a reader."""

    def __init__(self, images: ImageReader, indices: np.ndarray) -> None:
        self.images, self.indices = images, indices

    def __len__(self) -> int:
        return len(self.indices)

    def read(
        self, indices: np.ndarray, boxes: Sequence[Box] | None = None
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Images at positions of the subset."""
        return self.images.read(self.indices[indices], boxes)


@dataclass(frozen=True)
class ImageDataset:
    """Three splits that share no image.

    Attributes:
        name: For people.
        digest: Of the underlying files or arrays, 16 hex digits.
        classes: Class names; labels index them.
        mean: Per channel, of pixel values in [0, 1], over training images.
        std: Likewise.
        notes: What a reader of results needs to know, like files left out.
        inventory: What was found and what is used of it.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    train: Split
    valid: Split
    test: Split
    mean: np.ndarray
    std: np.ndarray
    notes: tuple[str, ...] = ()
    inventory: Inventory = Inventory("images", {})

    def normalise(self, images: UInt8[Tensor, "batch channels height width"]) -> Tensor:
        """float32 with zero mean and unit variance per channel on training images."""
        scale = torch.from_numpy(1.0 / (255.0 * self.std)).float().view(-1, 1, 1)
        shift = torch.from_numpy(self.mean / self.std).float().view(-1, 1, 1)
        return images.float() * scale - shift
