"""GLUE's metrics and how they become one number, all in [-1, 1] here.

Paper Table 4: Matthews correlation for CoLA, the mean of accuracy and F1 for MRPC and
QQP, of Pearson and Spearman correlation for STS-B, of matched and mismatched accuracy
for MNLI, accuracy for the others; then the mean over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef

from d2v_core.data.text.tasks import Score
from d2v_core.evaluation.probe import accuracy

Metric = Callable[[np.ndarray, np.ndarray], float]


def f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """F1 of the second class; 0 where it is never predicted and never right."""
    return float(f1_score(labels, predictions, pos_label=1, zero_division=0.0))


def matthews(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Matthews correlation; 0 for constant predictions."""
    if len({*labels, *predictions}) < 2:
        return 0.0
    return float(matthews_corrcoef(labels, predictions))


def pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Linear correlation; 0 for constant predictions."""
    return _unless_constant(pearsonr, labels, predictions)


def spearman(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Rank correlation; 0 for constant predictions."""
    return _unless_constant(spearmanr, labels, predictions)


def _unless_constant(
    correlation: Callable[..., tuple[float, float]],
    labels: np.ndarray,
    predictions: np.ndarray,
) -> float:
    if np.ptp(labels) == 0.0 or np.ptp(predictions) == 0.0:
        return 0.0
    return float(correlation(labels, predictions)[0])


REPORTED: dict[Score, dict[str, Metric]] = {
    "accuracy": {"accuracy": accuracy},
    "accuracy_and_f1": {"accuracy": accuracy, "f1": f1},
    "matthews": {"matthews": matthews},
    "pearson_and_spearman": {"pearson": pearson, "spearman": spearman},
}
"""The metrics of a task's score, which is their mean."""


def score_of(score: Score) -> Metric:
    """One number from labels and predictions."""

    def mean(labels: np.ndarray, predictions: np.ndarray) -> float:
        return fmean(metric(labels, predictions) for metric in REPORTED[score].values())

    return mean


def task_metrics(
    name: str, score: Score, splits: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> tuple[dict[str, float], float]:
    """Metrics of a task by name, in per cent, and its score.

    Args:
        name: ``cola`` gives ``eval/cola_matthews``.
        score: Which metrics.
        splits: Labels and predictions of each reported split; MNLI's two give
            ``eval/mnli_matched_accuracy`` and so on. Of several numbers, the mean is
            ``eval/<name>_score``.
    """
    scores = {
        "_".join(filter(None, (name, split, metric))): 100.0 * of(labels, predictions)
        for split, (labels, predictions) in splits.items()
        for metric, of in REPORTED[score].items()
    }
    mean = fmean(scores.values())
    metrics = {f"eval/{key}": value for key, value in scores.items()}
    if len(scores) > 1:
        metrics[f"eval/{name}_score"] = mean
    return metrics, mean
