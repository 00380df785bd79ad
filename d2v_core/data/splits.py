"""Class-balanced partitions that depend on the data alone, or on a given generator."""

from __future__ import annotations

import numpy as np

from d2v_core.errors import DataError

SPLIT_SEED = 2022
"""Fixed: the partition is part of the data, not of a trial."""


def hold_out(labels: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Choose indices kept and indices held out, class by class, each sorted.

    At least one sample of each class is held out and one is kept.

    Raises:
        DataError: A class has fewer than two samples.
    """
    generator = np.random.default_rng(SPLIT_SEED)
    held: list[np.ndarray] = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise DataError(
                "data: each class needs at least 2 samples to hold some out, class "
                f"{label} has {len(members)}"
            )
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held.append(members[:count])
    out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), out), out


def balanced_subset(
    labels: np.ndarray, size: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw sorted indices of ``size`` samples, class counts differing by at most one.

    A class with too few samples gives all it has.
    """
    classes = generator.permutation(np.unique(labels))
    quotas = np.full(len(classes), size // len(classes))
    quotas[: size % len(classes)] += 1
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen))
