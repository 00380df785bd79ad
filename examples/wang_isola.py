"""Alignment and uniformity of features (Wang and Isola 2020, arXiv 2005.10242).

Both are of features on the unit sphere, and lower is better. There a positive pair is
two views of an image; here it is two images of a class, as features are of images that
are not changed.
"""

import numpy as np

MAX_SAMPLES = 2_000
"""Most samples, spread over all, of which every pair is looked at."""


def alignment(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of all pairs of a class; features (samples, dim)."""
    chosen = _spread_out(len(labels))
    close = labels[chosen, None] == labels[None, chosen]
    np.fill_diagonal(close, False)
    return float(_squared_distances(features[chosen])[close].mean())


def uniformity(features: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of the mean Gaussian potential ``exp(-2 d^2)`` of all pairs."""
    squared = _squared_distances(features[_spread_out(len(features))])
    others = ~np.eye(len(squared), dtype=bool)
    return float(np.log(np.exp(-2.0 * squared[others]).mean()))


def _spread_out(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_SAMPLES)).astype(int))


def _squared_distances(features: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs on the sphere, (samples, samples)."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(length, 1e-12)
    return np.maximum(0.0, 2.0 - 2.0 * unit @ unit.T)
