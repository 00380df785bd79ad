"""Features of the unmasked input, the same way for every split."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from d2v_core.data.images import ImageDataset, Split
from d2v_core.encoders.timm_vision import VisionEncoder

Pooling = Literal["mean", "class_token", "concatenate"]


@torch.no_grad()
def extract_features(
    encoder: VisionEncoder,
    dataset: ImageDataset,
    split: Split,
    *,
    pooling: Pooling,
    batch_size: int = 256,
) -> np.ndarray:
    """Pooled tokens after the final norm, float32 of shape (images, features).

    The encoder runs in evaluation mode, without masks and without augmentation.
    """
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    parts = []
    for start in range(0, len(split), batch_size):
        indices = np.arange(start, min(start + batch_size, len(split)))
        images = dataset.normalise(split.images.read(indices)).to(device)
        tokens = encoder.all_tokens(images)
        parts.append(pool(tokens, pooling, encoder.num_prefix_tokens).float().cpu())
    encoder.train(was_training)
    return torch.cat(parts).numpy()


def pool(
    tokens: Float[Tensor, "batch all_tokens dim"],
    pooling: Pooling,
    num_prefix_tokens: int,
) -> Float[Tensor, "batch features"]:
    """One vector per image."""
    if pooling == "class_token":
        return tokens[:, 0]
    patches = tokens[:, num_prefix_tokens:]
    return patches.mean(dim=1) if pooling == "mean" else patches.flatten(1)
