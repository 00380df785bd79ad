"""RankMe: how many directions features use, a score that needs no labels.

Garrido et al. 2023, arXiv 2210.02885, equation 1.
"""

from __future__ import annotations

import numpy as np
import torch

EPSILON = 1e-7
"""Added to each share of the singular values, as in the paper."""
RANK_SAMPLES = 2_048
"""Samples at most whose features are looked at: many times the channels of an encoder.
The paper takes 25,600; the rank of more changes little."""
RANK_METRIC = "eval/rankme"
NO_LABELS = (
    "the data has no labels, so RankMe is the only score; evaluation.data can name a "
    "labelled set to probe on"
)
"""What a record says of a trial without labels."""
NO_TASKS = "there are no evaluation.tasks, so RankMe is the only score"
"""The same of text, whose labelled data are tasks."""


def rankme(features: np.ndarray) -> float:
    """Effective rank, 1 up to the number of channels (or of samples, if fewer).

    The exponential of the entropy of the singular values, as shares of their sum;
    features are not centred.

    Args:
        features: Features of shape (samples, channels).
    """
    matrix = torch.from_numpy(features).double()
    values = torch.linalg.svdvals(matrix)
    shares = values / values.sum().clamp_min(EPSILON) + EPSILON
    return float((-(shares * shares.log()).sum()).exp())


def rank_indices(size: int) -> np.ndarray:
    """Indices of the samples that are looked at, spread over all, the same always."""
    return np.unique(np.linspace(0, size - 1, min(size, RANK_SAMPLES)).astype(np.int64))
