"""Images in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2v_core.api.samples import Given, content_digest
from d2v_core.config.vision import VisionTrial
from d2v_core.data.inventory import Inventory
from d2v_core.data.vision.any_images import fitted_image
from d2v_core.data.vision.folders import pixel_statistics
from d2v_core.data.vision.images import ArrayImages, ImageDataset, Split
from d2v_core.sizing import ImageFacts, SizedFor, settings_for


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
        """Digest of pixels, shapes and labels."""
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
        mean, std = pixel_statistics(split.images)
        return ImageDataset(
            name="images in memory",
            digest=self.digest,
            classes=self.classes,
            train=split,
            valid=split,
            test=split,
            mean=mean,
            std=std,
            inventory=Inventory("images", {"train": len(split)}),
        )
