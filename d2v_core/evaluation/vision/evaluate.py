"""Vision: probe and k-NN on frozen features of the unmasked images; fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from d2v_core.config.choices import Pooling, Protocol
from d2v_core.config.vision import AugmentationConfig, VisionEvaluation
from d2v_core.data.vision.augmentation import RandomChange
from d2v_core.data.vision.images import ImageDataset, Split
from d2v_core.encoders.images import ImageEncoder
from d2v_core.evaluation.features import frozen_tokens
from d2v_core.evaluation.labels import balanced, label_draws
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.own import OwnMetric, measured
from d2v_core.evaluation.probe import Features
from d2v_core.evaluation.protocol import evaluate_features
from d2v_core.evaluation.rank import NO_LABELS, RANK_METRIC, rank_indices, rankme
from d2v_core.evaluation.vision.fine_tuning import fine_tune_images


def evaluate_images(
    encoder: ImageEncoder,
    dataset: ImageDataset,
    config: VisionEvaluation,
    *,
    augmentation: AugmentationConfig,
    seed: int,
    own_metrics: Mapping[str, OwnMetric] | None = None,
    own_change: RandomChange | None = None,
) -> Evaluation:
    """RankMe, then probe and k-NN on frozen features, then fine-tuning.

    ``eval/rankme`` is of the training images, or of held-out ones where those have no
    labels. Without labels, of ``dataset`` or ``dataset.probed``, there is nothing else.

    Args:
        encoder: Gives the features of all three splits; is left as it is.
        dataset: Its training split, or class-balanced labelled subsets of it, fit; of
            ``dataset.probed``, if it has one.
        config: The protocol.
        augmentation: Augmentation of the images it is fine-tuned on.
        seed: Seed of the labelled subsets, and of everything random in fine-tuning.
        own_metrics: The user's own, by the name they are logged under.
        own_change: The user's own augmentation.
    """
    device = next(encoder.parameters()).device

    def features(split: Split) -> Features:
        extracted = extract_features(
            encoder,
            dataset,
            split,
            pooling=config.pooling,
            num_layers=config.num_layers,
        )
        return Features(extracted, split.labels)

    looked_at = dataset.train if dataset.classes else dataset.valid
    if dataset.classes and dataset.probed is None:
        train = features(looked_at)
        rank = rankme(train.features[rank_indices(len(train.labels))])
    else:
        some = features(looked_at.subset(rank_indices(len(looked_at))))
        rank = rankme(some.features)
        if dataset.probed is None:
            own_scores = measured(own_metrics, some.features, some.labels)
            return Evaluation({RANK_METRIC: rank, **own_scores}, {}, (NO_LABELS,))
        dataset = dataset.probed
        train = features(dataset.train)
    test = features(dataset.test)
    frozen = evaluate_features(
        train, features(dataset.valid), test, config, seed=seed, device=device
    )
    # Last: MLflow compares runs by the metric that was logged first.
    of_test = measured(own_metrics, test.features, test.labels)
    others = {RANK_METRIC: rank, **of_test}
    frozen = frozen.joined(Evaluation(others, {}))
    if config.fine_tuning is None:
        return _with_accuracy(frozen, config.protocol)
    draws = label_draws(balanced(train.labels), config, seed=seed)
    labelled = dataset
    if draws is not None:
        labelled = replace(dataset, train=dataset.train.subset(draws[0]))
    tuned = fine_tune_images(
        encoder,
        labelled,
        config.fine_tuning,
        augmentation=augmentation,
        seed=seed,
        own_change=own_change,
    )
    return _with_accuracy(frozen.joined(tuned), config.protocol)


def _with_accuracy(evaluation: Evaluation, protocol: Protocol) -> Evaluation:
    """Repeat the protocol's score under a name that all protocols share."""
    name, shared = f"eval/{protocol}_accuracy", "eval/accuracy"
    draws = {shared: evaluation.draws[name]} if name in evaluation.draws else {}
    return evaluation.joined(
        Evaluation({shared: evaluation.metrics[name]}, {}, draws=draws)
    )


@torch.no_grad()
def extract_features(
    encoder: ImageEncoder,
    dataset: ImageDataset,
    split: Split,
    *,
    pooling: Pooling,
    num_layers: int = 1,
    batch_size: int = 256,
) -> np.ndarray:
    """Pooled tokens, float32 of shape (images, features).

    The encoder runs in evaluation mode, without masks and without augmentation. Tokens
    are those after the final norm, or of :func:`frozen_tokens` where several layers are
    asked for, which have no class token.
    """
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    parts = []
    for start in range(0, len(split), batch_size):
        indices = np.arange(start, min(start + batch_size, len(split)))
        images = dataset.normalise(split.images.read(indices)).to(device)
        if num_layers == 1:
            tokens, num_prefix = encoder.all_tokens(images), encoder.num_prefix_tokens
        else:
            tokens = frozen_tokens(encoder, images, num_layers=num_layers)
            num_prefix = 0
        parts.append(pool(tokens, pooling, num_prefix).float().cpu())
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
