"""Images in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2v_core.api.samples import Given, content_digest
from d2v_core.config.vision import VisionTrial
from d2v_core.data.inventory import Inventory
from d2v_core.data.vision.images import ArrayImages, ImageDataset, Split
from d2v_core.data.vision.resize import resize_array
from d2v_core.errors import ConfigError, Problem
from d2v_core.sizing import ImageFacts, SizedFor, settings_for

CHANNELS = (1, 3)


@dataclass(frozen=True)
class GivenImages(Given):
    """Images of any sizes.

    Attributes:
        images: uint8 of shape (channels, height, width) each.
        labels: int64 class indices of shape (images,).
        classes: Names of the classes; empty: there are no labels.
        sized_for: The machine a recipe is to suit.
    """

    images: Sequence[np.ndarray]
    labels: np.ndarray
    classes: tuple[str, ...]
    sized_for: SizedFor

    @property
    def settings(self) -> Mapping[str, Any]:
        """A recipe for images of this size."""
        side = int(np.median([min(image.shape[1:]) for image in self.images]))
        channels = max(image.shape[0] for image in self.images)
        return settings_for(
            ImageFacts(len(self.images), side, channels), self.sized_for
        )

    @property
    def digest(self) -> str:
        """Of pixels, shapes and labels."""
        shapes = [str(image.shape).encode() for image in self.images]
        pixels = (np.ascontiguousarray(image).tobytes() for image in self.images)
        return content_digest([*shapes, *pixels, self.labels.tobytes()])

    def dataset(self, trial: VisionTrial) -> ImageDataset:
        """Images cut to squares and resized to the encoder's size."""
        size, channels = trial.vision.image_size, trial.vision.channels
        fitted = np.concatenate(
            [fitted_image(image, size, channels) for image in self.images]
        )
        split = Split(ArrayImages(fitted), self.labels)
        pixels = fitted / 255.0
        return ImageDataset(
            name="images in memory",
            digest=self.digest,
            classes=self.classes,
            train=split,
            valid=split,
            test=split,
            mean=pixels.mean(axis=(0, 2, 3)),
            std=pixels.std(axis=(0, 2, 3)).clip(1e-3),
            inventory=Inventory("images", {"train": len(split)}),
        )


def as_images(samples: Any, where: str = "samples") -> list[np.ndarray]:
    """Each image as uint8 of shape (channels, height, width).

    Args:
        samples: An array or a list; single images may be PIL's, arrays or tensors of
            shape (height, width), (channels, height, width) or (height, width,
            channels), of uint8 or of floats between 0 and 1.
        where: Name of the argument, for messages.

    Raises:
        ConfigError: An image is of another shape, type or range.
    """
    return [_image(image, f"{where}[{i}]") for i, image in enumerate(samples)]


def fitted_image(image: np.ndarray, size: int, channels: int) -> np.ndarray:
    """The square in the middle at the encoder's size, of shape (1, channels, …)."""
    side = min(image.shape[1:])
    top, left = ((length - side) // 2 for length in image.shape[1:])
    square = image[None, :, top : top + side, left : left + side]
    if square.shape[1] > channels:  # to grey as the eye sees it (ITU-R 601)
        grey = np.tensordot((0.299, 0.587, 0.114), square[0], axes=1)
        square = grey.round().astype(np.uint8)[None, None]
    elif square.shape[1] < channels:
        square = np.repeat(square, channels, axis=1)
    return resize_array(np.ascontiguousarray(square), size)


def _image(image: Any, where: str) -> np.ndarray:
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3 and array.shape[0] not in CHANNELS:
        array = array.transpose(2, 0, 1)
    if array.ndim != 3 or array.shape[0] not in CHANNELS:
        shapes = "(height, width), (channels, height, width) with 1 or 3 channels"
        raise _problem(where, f"must be of shape {shapes}, got {np.shape(image)}")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise _problem(where, f"must be of uint8 or floats, got {array.dtype}")
    if not (np.isfinite(array).all() and array.min() >= 0.0 and array.max() <= 1.0):
        given = f"{array.min():g} to {array.max():g}"
        raise _problem(where, f"floats must lie between 0 and 1, got {given}")
    scaled: np.ndarray = (array * 255.0).round().astype(np.uint8)
    return scaled


def _problem(where: str, message: str) -> ConfigError:
    return ConfigError([Problem(where, message)])
