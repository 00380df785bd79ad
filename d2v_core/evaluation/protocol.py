"""The frozen protocol: probe and k-NN on features of three splits, in per cent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from d2v_core.config.training import EvaluationConfig
from d2v_core.evaluation.labels import balanced, label_draws
from d2v_core.evaluation.neighbours import neighbours_accuracies
from d2v_core.evaluation.outcome import Evaluation, over_draws
from d2v_core.evaluation.probe import CPU, Features, FittedProbes, accuracy, fit_probes

ALL_LABELS = "_all_labels"
"""Ends the name of a metric at all labels, where a score at few stands beside it."""


def evaluate_features(
    train: Features,
    valid: Features,
    test: Features,
    config: EvaluationConfig,
    *,
    seed: int,
    device: torch.device = CPU,
) -> Evaluation:
    """Fit on labelled subsets of ``train``, select on ``valid``, report ``test``.

    ``eval/linear_accuracy`` and ``eval/knn_accuracy`` are test accuracies in per cent,
    means over the subsets; ``eval/linear_validation_accuracy`` is what selected the L2
    strengths. Where subsets are drawn, ``eval/linear_accuracy_all_labels`` and
    ``eval/knn_accuracy_all_labels`` stand beside them.

    Args:
        train: All training samples; each subset is class-balanced.
        valid: Selects.
        test: Is looked at once.
        config: The protocol.
        seed: Seed of the subsets.
        device: Computes.
    """
    everything = np.arange(len(train.labels))
    draws = label_draws(balanced(train.labels), config, seed=seed)
    used = [everything] if draws is None else draws

    def probes(draws: list[np.ndarray]) -> FittedProbes:
        return fit_probes(
            train,
            draws,
            valid,
            l2_grid=config.l2_grid,
            score=accuracy,
            num_classes=int(train.labels.max()) + 1,
            device=device,
        )

    few = probes(used)
    neighbours = neighbours_accuracies(
        train,
        [*used, everything],
        test,
        num_neighbours=config.num_neighbours,
        device=device,
    )
    scores = {
        "eval/linear_accuracy": accuracies(few, test),
        "eval/knn_accuracy": [100.0 * share for share in neighbours[:-1]],
    }
    averaged = over_draws(scores).joined(_choice(few))
    if draws is None:
        return replace(averaged, draws={})
    whole = probes([everything])
    return averaged.joined(
        Evaluation(
            metrics={
                f"eval/linear_accuracy{ALL_LABELS}": accuracies(whole, test)[0],
                f"eval/knn_accuracy{ALL_LABELS}": 100.0 * neighbours[-1],
            },
            choices={f"evaluation.l2{ALL_LABELS}": whole.median_l2},
            notes=whole.notes("with all labels, the probe's"),
        )
    )


def _choice(probes: FittedProbes) -> Evaluation:
    validation = 100.0 * float(np.mean(probes.validation_scores))
    return Evaluation(
        metrics={"eval/linear_validation_accuracy": validation},
        choices={"evaluation.l2": probes.median_l2},
        notes=probes.notes(),
    )


def accuracies(probes: FittedProbes, test: Features) -> list[float]:
    """Test accuracy of each subset's probe, in per cent."""
    predicted = probes.predict(test.features)
    return [100.0 * accuracy(test.labels, one) for one in predicted]
