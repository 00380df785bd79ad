"""Class-balanced partitions that depend on the data alone, or on a given generator."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from d2v_core.errors import DataError

SPLIT_SEED = 2022
"""Fixed: the partition is part of the data, not of a trial."""
LEAST_HELD_OUT = 32
"""Samples without labels that are held out of a small set, if that is not over half."""


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


def hold_out_named(
    names: Sequence[str], fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Choose indices kept and held out of samples without labels, each sorted.

    The names with the smallest hashes are held out, so a sample keeps its place when
    others come and go. At least :data:`LEAST_HELD_OUT`, but never more than half.

    Args:
        names: Names of at least two samples, as paths relative to their folder.
        fraction: Share that is held out.
    """
    wanted = max(round(fraction * len(names)), LEAST_HELD_OUT)
    count = max(1, min(wanted, len(names) // 2))
    hashes = [
        hashlib.sha256(name.encode(errors="surrogateescape")).digest() for name in names
    ]
    order = sorted(range(len(names)), key=lambda i: (hashes[i], names[i]))
    return np.sort(order[count:]), np.sort(order[:count])
