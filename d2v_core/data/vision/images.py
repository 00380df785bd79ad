"""Images in memory or on disk behind one reading interface, and labelled splits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from d2v_core.data.inventory import Inventory
from d2v_core.data.vision.pictures import DECODING_ERRORS, as_shown
from d2v_core.errors import DataError

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
        """Read images; with ``boxes``, each cropped to its box first."""
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
        """Read images at ``indices``; boxes are resized bilinearly with antialias."""
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


def pixel_box(box: Box, width: int, height: int) -> Box:
    """Fit a box drawn on a square into an image of another shape, in pixels.

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
    """Place a box along one axis, never outside the image."""
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
        """View some of the images."""
        return Split(Subset(self.images, indices), self.labels[indices])


class Subset:
    """View of some of the images of a reader."""

    def __init__(self, images: ImageReader, indices: np.ndarray) -> None:
        self.images, self.indices = images, indices

    def __len__(self) -> int:
        return len(self.indices)

    def read(
        self, indices: np.ndarray, boxes: Sequence[Box] | None = None
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Read images at positions of the subset."""
        return self.images.read(self.indices[indices], boxes)


@dataclass(frozen=True)
class ImageDataset:
    """Three splits that share no image.

    Attributes:
        name: For people.
        digest: Digest of the underlying files or arrays, 16 hex digits.
        classes: Class names; labels index them. Empty: there are no labels, and
            ``valid`` is held out.
        mean: Per channel, of pixel values in [0, 1], over training images.
        std: Likewise.
        notes: What a reader of results needs to know, like files left out.
        inventory: What was found and what is used of it.
        probed: Labelled images the encoder is evaluated on instead; None: these.
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
    probed: ImageDataset | None = None

    def normalise(self, images: UInt8[Tensor, "batch channels height width"]) -> Tensor:
        """Scale to float32; training images get mean 0 and variance 1 per channel."""
        return scaled_images(images, self.mean, self.std)


def scaled_images(
    images: UInt8[Tensor, "batch channels height width"],
    mean: np.ndarray,
    std: np.ndarray,
) -> Float[Tensor, "batch channels height width"]:
    """Shift and scale pixels by mean and deviation per channel, those in [0, 1]."""
    scale = torch.from_numpy(1.0 / (255.0 * std)).float().view(-1, 1, 1)
    shift = torch.from_numpy(mean / std).float().view(-1, 1, 1)
    return images.float() * scale - shift
