"""The frozen protocol: probe and k-NN on features of three splits, in per cent."""

from __future__ import annotations

from d2v_core.config.training import EvaluationConfig
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.probe import (
    Features,
    linear_probe,
    nearest_neighbours_accuracy,
)


def evaluate_features(
    train: Features, valid: Features, test: Features, config: EvaluationConfig
) -> Evaluation:
    """Fit on ``train``, select on ``valid``, report ``test``.

    ``eval/linear_accuracy`` and ``eval/knn_accuracy`` are test accuracies in per cent;
    ``eval/linear_validation_accuracy`` is what selected the L2 strength.
    """
    probe = linear_probe(train, valid, test, l2_grid=config.l2_grid)
    knn = nearest_neighbours_accuracy(train, test, num_neighbours=config.num_neighbours)
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
