"""Linear probe and k-NN on frozen features, selected on a validation split."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

MAX_ITERATIONS = 1_000


@dataclass(frozen=True)
class Features:
    """Features and labels of one split."""

    features: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ProbeResult:
    """Outcome of the linear probe.

    Attributes:
        test_accuracy: Share of test samples classified correctly, 0 to 1.
        validation_accuracy: Likewise, at the chosen strength.
        l2: The chosen strength.
        on_edge: Whether it is the smallest or largest of the grid.
        converged: Whether its fit ended before :data:`MAX_ITERATIONS`.
    """

    test_accuracy: float
    validation_accuracy: float
    l2: float
    on_edge: bool
    converged: bool


Score = Callable[[np.ndarray, np.ndarray], float]
"""Score of labels and predictions; higher is better."""


@dataclass(frozen=True)
class FittedProbe:
    """The best of the L2 strengths.

    Attributes:
        predict: From features to class indices, or numbers for a regression.
        validation_score: At the chosen strength.
        l2: The chosen strength.
        on_edge: Whether it is the smallest or largest of the grid.
        converged: Whether its fit ended before :data:`MAX_ITERATIONS`.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    validation_score: float
    l2: float
    on_edge: bool
    converged: bool


def fit_probe(
    train: Features,
    valid: Features,
    *,
    l2_grid: Sequence[float],
    score: Score,
    regression: bool = False,
) -> FittedProbe:
    """Multinomial logistic, or ridge, regression on standardised features.

    Features are standardised with the training samples' mean and deviation. The L2
    strength with the best validation score is used (the larger one on a tie).
    """
    scaler = StandardScaler().fit(train.features)
    x_train, x_valid = (scaler.transform(part.features) for part in (train, valid))
    best: tuple[float, float, Any] | None = None
    for l2 in sorted(l2_grid, reverse=True):
        # scikit-learn minimises sum(losses) + |w|^2 / (2 C): C = 1 / (n * l2); of
        # ridge regression, sum(squares) + alpha |w|^2: alpha = n * l2.
        strength = l2 * len(x_train)
        if regression:
            model = Ridge(alpha=strength)
        else:
            model = LogisticRegression(C=1.0 / strength, max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # see converged
            model.fit(x_train, train.labels)
        reached = score(valid.labels, model.predict(x_valid))
        if best is None or reached > best[0]:
            best = (reached, l2, model)
    assert best is not None
    reached, l2, chosen = best
    return FittedProbe(
        predict=lambda features: chosen.predict(scaler.transform(features)),
        validation_score=reached,
        l2=l2,
        on_edge=len(l2_grid) > 1 and l2 in (min(l2_grid), max(l2_grid)),
        converged=regression or int(chosen.n_iter_.max()) < MAX_ITERATIONS,
    )


def linear_probe(
    train: Features, valid: Features, test: Features, *, l2_grid: Sequence[float]
) -> ProbeResult:
    """:func:`fit_probe` by accuracy; the test split is looked at once."""
    probe = fit_probe(train, valid, l2_grid=l2_grid, score=accuracy)
    return ProbeResult(
        test_accuracy=accuracy(test.labels, probe.predict(test.features)),
        validation_accuracy=probe.validation_score,
        l2=probe.l2,
        on_edge=probe.on_edge,
        converged=probe.converged,
    )


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of samples classified correctly, 0 to 1."""
    return float(np.mean(labels == predictions))


def nearest_neighbours_accuracy(
    train: Features, test: Features, *, num_neighbours: int
) -> float:
    """Distance-weighted k-NN with cosine distance; test accuracy, 0 to 1."""
    model = KNeighborsClassifier(
        n_neighbors=min(num_neighbours, len(train.labels)),
        metric="cosine",
        weights="distance",
    ).fit(train.features, train.labels)
    return float(model.score(test.features, test.labels))
