"""The embedded default: handwritten digits inside scikit-learn, no download.

1,797 images of 8 x 8 pixels with 17 grey levels (Alpaydin and Kaynak 1998, UCI).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np

from d2v_core.data.inventory import Inventory
from d2v_core.data.splits import hold_out
from d2v_core.data.vision.images import ArrayImages, ImageDataset, Split
from d2v_core.data.vision.resize import resize_array

TEST_FRACTION = 1 / 3
VALIDATION_FRACTION = 1 / 6
"""Share of what the test split leaves."""


@lru_cache(maxsize=1)  # a plan asks for every data set of every study
def digits_digest() -> str:
    """Digest the arrays."""
    digits = _digits()
    content = digits.images.astype(np.uint8).tobytes() + digits.target.tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def load_digit_images(*, size: int, channels: int) -> ImageDataset:
    """Load the digits at ``size`` x ``size`` pixels in three fixed splits."""
    digits = _digits()
    grey = np.rint(digits.images * (255.0 / 16.0)).astype(np.uint8)[:, None]
    images = np.repeat(resize_array(grey, size), channels, axis=1)
    labels = digits.target.astype(np.int64)
    rest, test = hold_out(labels, TEST_FRACTION)
    train, valid = (rest[part] for part in hold_out(labels[rest], VALIDATION_FRACTION))
    pixels = images[train] / 255.0
    return ImageDataset(
        name="digits (scikit-learn)",
        digest=digits_digest(),
        classes=tuple(str(name) for name in digits.target_names),
        train=Split(ArrayImages(images[train]), labels[train]),
        valid=Split(ArrayImages(images[valid]), labels[valid]),
        test=Split(ArrayImages(images[test]), labels[test]),
        mean=pixels.mean(axis=(0, 2, 3)),
        std=pixels.std(axis=(0, 2, 3)),
        inventory=Inventory(
            "images", {"train": len(train), "valid": len(valid), "test": len(test)}
        ),
    )


def _digits() -> Any:
    from sklearn.datasets import load_digits  # a second, for this data set alone

    return load_digits()
