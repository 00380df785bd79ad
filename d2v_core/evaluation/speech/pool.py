"""The training utterances that any draw of labels has, so that each is encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from d2v_core.data.speech.utterances import SpeechDataset

Draws = Sequence[np.ndarray]
"""Sorted positions in a split, of each draw."""


@dataclass(frozen=True)
class Pool:
    """Some of the training utterances.

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
