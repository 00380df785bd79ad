"""Linear probe and k-NN on frozen features, selected on a validation split."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
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


def linear_probe(
    train: Features, valid: Features, test: Features, *, l2_grid: Sequence[float]
) -> ProbeResult:
    """Multinomial logistic regression on standardised features.

    Features are standardised with the training samples' mean and deviation. The L2
    strength with the best validation accuracy is used (the larger one on a tie); the
    test split is looked at once, with that strength.
    """
    scaler = StandardScaler().fit(train.features)
    x_train, x_valid, x_test = (
        scaler.transform(part.features) for part in (train, valid, test)
    )
    best: tuple[float, float, LogisticRegression] | None = None
    for l2 in sorted(l2_grid, reverse=True):
        # scikit-learn minimises sum(losses) + |w|^2 / (2 C): C = 1 / (n * l2).
        model = LogisticRegression(C=1.0 / (l2 * len(x_train)), max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # see converged
            model.fit(x_train, train.labels)
        accuracy = float(model.score(x_valid, valid.labels))
        if best is None or accuracy > best[0]:
            best = (accuracy, l2, model)
    assert best is not None
    accuracy, l2, model = best
    return ProbeResult(
        test_accuracy=float(model.score(x_test, test.labels)),
        validation_accuracy=accuracy,
        l2=l2,
        on_edge=len(l2_grid) > 1 and l2 in (min(l2_grid), max(l2_grid)),
        converged=int(model.n_iter_.max()) < MAX_ITERATIONS,
    )


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
