"""Downstream tasks: texts with labels in three splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from d2v_core.data.splits import SPLIT_SEED, hold_out

Score = Literal["accuracy", "accuracy_and_f1", "matthews", "pearson_and_spearman"]
"""What GLUE reports of a task; of two metrics, their mean."""

MAX_HELD_OUT = 1_000
HELD_OUT_FRACTION = 0.1
"""Share of the training samples, for a task without a third split."""


@dataclass(frozen=True)
class Samples:
    """Samples of one split.

    Attributes:
        first: Texts.
        second: The other text of each pair; None for tasks on single texts.
        labels: Class indices, or numbers for a regression.
    """

    first: tuple[str, ...]
    second: tuple[str, ...] | None
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def subset(self, indices: np.ndarray) -> Samples:
        """Take some of the samples."""
        second = self.second
        return Samples(
            first=tuple(self.first[i] for i in indices),
            second=None if second is None else tuple(second[i] for i in indices),
            labels=self.labels[indices],
        )

    def texts(self) -> list[tuple[str, ...]]:
        """List text or pair of each sample."""
        if self.second is None:
            return [(text,) for text in self.first]
        return list(zip(self.first, self.second, strict=True))


@dataclass(frozen=True)
class Task:
    """One downstream task.

    Attributes:
        name: In names of metrics, ``sst_2``.
        classes: Names of the labels; empty: a regression.
        score: What is reported.
        train: Fits.
        valid: Selects.
        tests: What is reported on, by name; one with an empty name, or MNLI's two.
    """

    name: str
    classes: tuple[str, ...]
    score: Score
    train: Samples
    valid: Samples
    tests: Mapping[str, Samples]

    def notes(self) -> tuple[str, ...]:
        """Count texts of the tests that also stand in train."""
        seen = set(self.train.texts()) | set(self.valid.texts())
        counts = {
            name: sum(text in seen for text in test.texts())
            for name, test in self.tests.items()
        }
        return tuple(
            f"{' '.join(filter(None, (self.name, name)))}: {count} of "
            f"{len(self.tests[name])} reported samples also stand in the training split"
            for name, count in counts.items()
            if count
        )


def held_out(samples: Samples, *, classes: bool) -> tuple[Samples, Samples]:
    """Set some training samples aside, always the same ones.

    Args:
        samples: At least two, and two of each class.
        classes: Whether labels are class indices, whose shares are then kept.
    """
    fraction = min(HELD_OUT_FRACTION, MAX_HELD_OUT / len(samples))
    if classes:
        kept, out = hold_out(samples.labels, fraction)
    else:
        order = np.random.default_rng(SPLIT_SEED).permutation(len(samples))
        count = max(1, round(fraction * len(samples)))
        kept, out = np.sort(order[count:]), np.sort(order[:count])
    return samples.subset(kept), samples.subset(out)
