"""Training batches as a function of the update: nothing to save but the step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from d2v_core.config.vision import AugmentationConfig
from d2v_core.data.vision.augmentation import (
    RandomChange,
    jitter_colors,
    random_boxes,
    random_flip,
    random_shift,
)
from d2v_core.data.vision.images import ImageDataset
from d2v_core.randomness import numpy_generator
from d2v_core.training.parallel import ALONE, Workers


@dataclass(frozen=True)
class ImageBatches:
    """Shuffled passes over the training images, one after the other, without gaps.

    Attributes:
        dataset: Its training split is read.
        batch_size: Images per update.
        seed: Seed of order and augmentation.
        augmentation: Random changes.
        workers: Those that read the other images of a batch.
        own_change: The user's own, which sees the images of one worker at a time and
            so draws other values in each.
    """

    dataset: ImageDataset
    batch_size: int
    seed: int
    augmentation: AugmentationConfig
    workers: Workers = ALONE
    own_change: RandomChange | None = None

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Read normalised images and labels of update ``step`` (from 1)."""
        indices = self.indices(step)
        mine = self.workers.rows(len(indices))
        generator = numpy_generator(self.seed, "augmentation", step)
        change, train, workers = self.augmentation, self.dataset.train, self.workers
        boxes = None
        if change.kind == "resized_crop":
            boxes = random_boxes(len(indices), change.min_scale, generator)[mine]
        images = train.images.read(indices[mine], boxes)
        if self.own_change is not None:
            stream = f"own augmentation {mine.start or 0}"
            draws = numpy_generator(self.seed, stream, step)
            images = self.own_change(images, draws)
        if change.kind == "shift":
            images = random_shift(images, change.max_shift, generator, workers)
        if change.horizontal_flip:
            images = random_flip(images, generator, workers)
        if change.color_jitter:
            images = jitter_colors(images, change.color_jitter, generator, workers)
        labels = torch.from_numpy(train.labels[indices[mine]])
        return self.dataset.normalise(images), labels

    def indices(self, step: int) -> np.ndarray:
        """Choose positions in the training split of update ``step`` (from 1)."""
        size = len(self.dataset.train)
        first = (step - 1) * self.batch_size
        wanted = np.arange(first, first + self.batch_size)
        epochs = wanted // size
        parts = [
            shuffled(self.seed, int(epoch), size)[wanted[epochs == epoch] % size]
            for epoch in np.unique(epochs)
        ]
        return np.concatenate(parts)


@lru_cache(maxsize=4)
def shuffled(seed: int, epoch: int, size: int) -> np.ndarray:
    """Draw the order of one pass."""
    return numpy_generator(seed, "order", epoch).permutation(size)
