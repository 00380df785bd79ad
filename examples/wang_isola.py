"""Alignment and uniformity of features (Wang and Isola 2020, arXiv 2005.10242).

Both are of features on the unit sphere, and lower is better. There a positive pair is
two views of an image; here it is two images of a class, as features are of images that
are not changed.
"""

import numpy as np


def alignment(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of all pairs of a class; features (samples, dim)."""
    close = labels[:, None] == labels[None]
    np.fill_diagonal(close, False)
    return float(_squared_distances(features)[close].mean())


def uniformity(features: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of the mean Gaussian potential ``exp(-2 d^2)`` of all pairs."""
    others = ~np.eye(len(features), dtype=bool)
    return float(np.log(np.exp(-2.0 * _squared_distances(features)[others]).mean()))


def _squared_distances(features: np.ndarray) -> np.ndarray:
    """Of all pairs on the sphere, (samples, samples)."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(length, 1e-12)
    return np.maximum(0.0, 2.0 - 2.0 * unit @ unit.T)
