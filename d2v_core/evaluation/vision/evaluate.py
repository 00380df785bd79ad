"""Vision: probe and k-NN on frozen features of the unmasked images; fine-tuning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from d2v_core.config.choices import Pooling
from d2v_core.config.vision import AugmentationConfig, VisionEvaluation
from d2v_core.data.splits import balanced_subset
from d2v_core.data.vision.images import ImageDataset, Split
from d2v_core.encoders.timm_vision import VisionEncoder
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.probe import Features
from d2v_core.evaluation.protocol import evaluate_features
from d2v_core.evaluation.vision.fine_tuning import fine_tune_images
from d2v_core.randomness import numpy_generator


def evaluate_images(
    encoder: VisionEncoder,
    dataset: ImageDataset,
    config: VisionEvaluation,
    *,
    augmentation: AugmentationConfig,
    seed: int,
) -> Evaluation:
    """Probe and k-NN on frozen features of the unmasked input, then fine-tuning.

    Args:
        encoder: Gives the features of all three splits; is left as it is.
        dataset: Its training split, or a class-balanced labelled subset, fits.
        config: The protocol.
        augmentation: Of the images it is fine-tuned on.
        seed: Of the labelled subset, and of everything random in fine-tuning.
    """
    train = dataset.train
    if config.num_labels is not None and config.num_labels < len(train):
        generator = numpy_generator(seed, "labels")
        train = train.subset(
            balanced_subset(train.labels, config.num_labels, generator)
        )

    def features(split: Split) -> Features:
        extracted = extract_features(encoder, dataset, split, pooling=config.pooling)
        return Features(extracted, split.labels)

    frozen = evaluate_features(
        features(train), features(dataset.valid), features(dataset.test), config
    )
    if config.fine_tuning is None:
        return frozen
    labelled = replace(dataset, train=train)
    return frozen.joined(
        fine_tune_images(
            encoder, labelled, config.fine_tuning, augmentation=augmentation, seed=seed
        )
    )


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
