"""The frozen protocol: one encoder, three splits, probe and k-NN, in per cent."""

from __future__ import annotations

from dataclasses import dataclass

from d2v_core.config.training import EvaluationConfig
from d2v_core.data.images import ImageDataset, Split
from d2v_core.data.splits import balanced_subset
from d2v_core.encoders.timm_vision import VisionEncoder
from d2v_core.evaluation.features import extract_features
from d2v_core.evaluation.probe import (
    Features,
    linear_probe,
    nearest_neighbours_accuracy,
)
from d2v_core.randomness import numpy_generator


@dataclass(frozen=True)
class Evaluation:
    """Result of the protocol.

    Attributes:
        metrics: ``eval/linear_accuracy`` and ``eval/knn_accuracy`` are test accuracies
            in per cent; ``eval/linear_validation_accuracy`` is what selected the L2.
        choices: The L2 strength chosen.
        notes: Remarks when it lies on the edge of the grid, or its fit stopped early.
    """

    metrics: dict[str, float]
    choices: dict[str, float]
    notes: tuple[str, ...]


def evaluate(
    encoder: VisionEncoder,
    dataset: ImageDataset,
    config: EvaluationConfig,
    *,
    seed: int,
) -> Evaluation:
    """Probe and k-NN on frozen features of the unmasked input.

    Args:
        encoder: Gives the features of all three splits.
        dataset: Its training split, or a class-balanced labelled subset, fits.
        config: The protocol.
        seed: Of the labelled subset.
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

    fit, valid, test = features(train), features(dataset.valid), features(dataset.test)
    probe = linear_probe(fit, valid, test, l2_grid=config.l2_grid)
    knn = nearest_neighbours_accuracy(fit, test, num_neighbours=config.num_neighbours)
    notes = []
    if probe.on_edge:
        notes.append(f"the probe's L2 {probe.l2:g} lies on the edge of its grid")
    if not probe.converged:
        notes.append(f"the probe's fit at L2 {probe.l2:g} did not converge")
    return Evaluation(
        metrics={
            "eval/linear_accuracy": 100.0 * probe.test_accuracy,
            "eval/linear_validation_accuracy": 100.0 * probe.validation_accuracy,
            "eval/knn_accuracy": 100.0 * knn,
        },
        choices={"evaluation.l2": probe.l2},
        notes=tuple(notes),
    )
