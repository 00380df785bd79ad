"""Augmentation of the user's own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from d2v_core.config.own import reference_in
from d2v_core.config.vision import AugmentationConfig, VisionTrial
from d2v_core.data.vision.augmentation import RandomChange
from d2v_core.own.kinds import AUGMENTATION
from d2v_core.own.loading import own, tried


def own_change(
    trial: VisionTrial, augmentation: AugmentationConfig
) -> RandomChange | None:
    """The user's own augmentation, tried on random images; None: it is one of ours.

    Raises:
        ConfigError: It cannot be used.
    """
    given, path = augmentation.kind, "augmentation.kind"
    if reference_in(given) is None:
        return None
    function = own(trial, path, AUGMENTATION, given, augmentation.settings)

    def changed(images: Tensor, generator: np.random.Generator) -> Tensor:
        result = function(images, generator)
        if not isinstance(result, Tensor):
            raise ValueError(f"gave a {type(result).__name__}")
        if result.dtype != torch.uint8 or result.shape != images.shape:
            actual = f"{result.dtype} of shape {tuple(result.shape)}"
            raise ValueError(f"gave {actual} for images {tuple(images.shape)}")
        return result

    size, draws = trial.vision.image_size, np.random.default_rng(0)
    shape = 3, trial.vision.channels, size, size
    images = torch.from_numpy(draws.integers(0, 256, shape, dtype=np.uint8))
    tried(path, AUGMENTATION, given, lambda: changed(images, draws))
    return changed
