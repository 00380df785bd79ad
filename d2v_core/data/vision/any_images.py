"""Images as a caller has them: any size, PIL's, arrays or tensors, bytes or floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from d2v_core.data.vision.resize import resize_array
from d2v_core.errors import refused

CHANNELS = (1, 3)
LUMA = (0.299, 0.587, 0.114)
"""Grey as the eye sees it (ITU-R BT.601)."""


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
    if square.shape[1] > channels:
        grey = np.tensordot(LUMA, square[0], axes=1)
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
        raise refused(where, f"must be of shape {shapes}, got {np.shape(image)}")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise refused(where, f"must be of uint8 or floats, got {array.dtype}")
    if not (np.isfinite(array).all() and array.min() >= 0.0 and array.max() <= 1.0):
        given = f"{array.min():g} to {array.max():g}"
        raise refused(where, f"floats must lie between 0 and 1, got {given}")
    scaled: np.ndarray = (array * 255.0).round().astype(np.uint8)
    return scaled
