"""Which labelled utterances each draw of a trial has; the same for every arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from d2v_core.data.speech.utterances import SpeechDataset
from d2v_core.data.splits import balanced_subset
from d2v_core.randomness import numpy_generator

Draws = Sequence[np.ndarray]
"""Sorted positions in a split, of each draw."""


def draw_utterances(
    size: int, num_labels: int | None, *, num_draws: int, seed: int
) -> list[np.ndarray]:
    """Draw labelled utterances, without regard to what is said.

    All of them are one draw, however many are asked for: they would be the same.

    Args:
        size: Utterances there are.
        num_labels: Utterances of a draw; None: all.
        num_draws: Draws.
        seed: Of the trial.
    """
    if num_labels is None or num_labels >= size:
        return [np.arange(size)]
    return [
        np.sort(
            numpy_generator(seed, "labels", r).choice(size, num_labels, replace=False)
        )
        for r in range(num_draws)
    ]


def draw_balanced(
    labels: np.ndarray, num_labels: int | None, *, num_draws: int, seed: int
) -> list[np.ndarray]:
    """Draw utterances, about equally many of each label.

    Args:
        labels: Class of every utterance there is.
        num_labels: Utterances of a draw; None: all.
        num_draws: Draws.
        seed: Of the trial.
    """
    if num_labels is None or num_labels >= len(labels):
        return [np.arange(len(labels))]
    return [
        balanced_subset(labels, num_labels, numpy_generator(seed, "labels", r))
        for r in range(num_draws)
    ]


@dataclass(frozen=True)
class Pool:
    """The training utterances that any draw has, so that each is encoded once.

    Attributes:
        indices: Their sorted positions in the training split.
    """

    indices: np.ndarray

    def places(self, draws: Draws) -> list[np.ndarray]:
        """Find where the utterances of draws stand in the pool."""
        return [np.searchsorted(self.indices, draw) for draw in draws]

    def of(self, dataset: SpeechDataset) -> SpeechDataset:
        """View a data set whose training split is the pool."""
        return replace(dataset, train=dataset.train.subset(self.indices))


def pool_of(*draws: Draws) -> Pool:
    """Collect what is drawn at all."""
    drawn = [one for some in draws for one in some]
    return Pool(np.unique(np.concatenate(drawn)) if drawn else np.zeros(0, np.int64))
