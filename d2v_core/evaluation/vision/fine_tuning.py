"""Fine-tuning a ViT on labelled images, as BEiT and data2vec do.

``data2vec_vision`` at af9a3634, ``run_class_finetuning.py`` and
``modeling_finetune.py``: the pre-training norm is dropped, patch tokens are averaged,
then come a new layer norm (``fc_norm``) and a linear classifier that starts close to
zero. Departure: mixup, cutmix, RandAugment and random erasing are missing; images are
changed as in pre-training.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.vision import AugmentationConfig, VisionFineTuning
from d2v_core.data.vision.augmentation import RandomChange
from d2v_core.data.vision.batches import ImageBatches
from d2v_core.data.vision.images import ImageDataset, Split
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.images import ImageEncoder, OwnImageEncoder
from d2v_core.evaluation.fine_tuning import fine_tune_best
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.randomness import derived_seed

FC_NORM_EPSILON = 1e-6
"""As all norms of the reference's network have."""
HEAD_STD = 0.02
"""Deviation of the truncated normal the classifier is drawn from, before its scale."""


def fine_tune_images(
    encoder: ImageEncoder,
    dataset: ImageDataset,
    config: VisionFineTuning,
    *,
    augmentation: AugmentationConfig,
    seed: int,
    own_change: RandomChange | None = None,
) -> Evaluation:
    """Fine-tune copies with each learning rate; test the best on validation once.

    Args:
        encoder: Left as it is.
        dataset: ``train`` holds the labelled images.
        config: Length, rates, schedule.
        augmentation: Random changes of the training images.
        seed: Seed of the head's weights, data order, augmentation and stochastic depth.
        own_change: The user's own augmentation.

    Returns:
        ``eval/fine_tuned_accuracy`` and ``eval/fine_tuned_validation_accuracy`` in per
        cent, and the peak learning rate.
    """
    device = next(encoder.parameters()).device
    batches = ImageBatches(
        dataset=dataset,
        batch_size=config.batch_size,
        seed=derived_seed(seed, "fine-tuning batches"),
        augmentation=augmentation,
        own_change=own_change,
    )

    def build(network: Encoder) -> tuple[nn.Module, Callable[[int], Tensor]]:
        assert isinstance(network, ImageEncoder)
        prepare(network, drop_path=config.drop_path)
        head = classifier(
            network.dim, len(dataset.classes), init_scale=config.head_init_scale
        )

        def loss_of(step: int) -> Tensor:
            images, labels = (part.to(device) for part in batches(step))
            logits = head(network(images).mean(dim=1))
            smoothing = config.label_smoothing
            return F.cross_entropy(logits, labels, label_smoothing=smoothing)

        return head, loss_of

    def score(network: Encoder, head: nn.Module) -> float:
        return accuracy(network, head, dataset, dataset.valid)

    best = fine_tune_best(encoder, build, score, config, seed=seed)
    notes: tuple[str, ...] = ()
    if best.on_edge:
        rate = f"the fine-tuning learning rate {best.learning_rate:g}"
        notes = (f"{rate} lies on the edge of its grid",)
    tested = accuracy(best.encoder, best.head, dataset, dataset.test)
    return Evaluation(
        metrics={
            "eval/fine_tuned_accuracy": 100.0 * tested,
            "eval/fine_tuned_validation_accuracy": 100.0 * best.score,
        },
        choices={"evaluation.fine_tuning.learning_rate": best.learning_rate},
        notes=notes,
    )


def prepare(encoder: ImageEncoder, *, drop_path: float | None) -> None:
    """Drop the pre-training norm; give the blocks stochastic depth.

    Args:
        encoder: Changed in place.
        drop_path: Rate of the last block, rising linearly from 0; None: left as it is.
    """
    if isinstance(encoder, OwnImageEncoder):
        encoder.network.norm = nn.Identity()
        return  # drop_path is refused
    from timm.layers.drop import DropPath

    from d2v_core.encoders.timm_vision import VisionEncoder

    assert isinstance(encoder, VisionEncoder)
    encoder.vit.norm = nn.Identity()
    if drop_path is None:
        return
    for i, block in enumerate(encoder.vit.blocks):
        rate = drop_path * i / max(1, encoder.depth - 1)
        for name in ("drop_path1", "drop_path2"):
            setattr(block, name, DropPath(rate) if rate else nn.Identity())


def classifier(dim: int, num_classes: int, *, init_scale: float) -> nn.Module:
    """``fc_norm`` and a linear layer, from pooled tokens to logits."""
    linear = nn.Linear(dim, num_classes)
    nn.init.trunc_normal_(linear.weight, std=HEAD_STD)
    nn.init.zeros_(linear.bias)
    with torch.no_grad():
        linear.weight.mul_(init_scale)
    norm = nn.LayerNorm(dim, eps=FC_NORM_EPSILON)
    return nn.Sequential(OrderedDict(fc_norm=norm, linear=linear))


@torch.no_grad()
def accuracy(
    encoder: Any,
    head: nn.Module,
    dataset: ImageDataset,
    split: Split,
    *,
    batch_size: int = 256,
) -> float:
    """Share of a split classified correctly, 0 to 1; networks in evaluation mode."""
    device = next(encoder.parameters()).device
    num_correct = torch.zeros((), dtype=torch.int64, device=device)
    for start in range(0, len(split), batch_size):
        indices = np.arange(start, min(start + batch_size, len(split)))
        images = dataset.normalise(split.images.read(indices)).to(device)
        logits: Float[Tensor, "batch classes"] = head(encoder(images).mean(dim=1))
        labels = torch.from_numpy(split.labels[indices]).to(device)
        num_correct += (logits.argmax(dim=1) == labels).sum()
    return float(num_correct) / len(split)
