"""k nearest neighbours by cosine distance, for all labelled subsets at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from d2v_core.evaluation.probe import CPU, Features

LARGEST = 1 << 24
"""Distances that are held at once."""


def neighbours_accuracies(
    train: Features,
    draws: Sequence[np.ndarray],
    test: Features,
    *,
    num_neighbours: int,
    device: torch.device = CPU,
) -> list[float]:
    """Test accuracy of each subset, 0 to 1; votes count by inverse distance.

    What scikit-learn's ``KNeighborsClassifier(metric="cosine", weights="distance")``
    does: neighbours at distance 0 vote alone, and the first class wins a tie.

    Args:
        train: Samples the subsets are taken from.
        draws: Indices of each subset.
        test: Classified.
        num_neighbours: All are asked where there are fewer.
        device: Computes.
    """
    known = F.normalize(torch.from_numpy(train.features).to(device), dim=1)
    asked = F.normalize(torch.from_numpy(test.features).to(device), dim=1)
    labels = torch.from_numpy(train.labels).to(device)
    wanted = torch.from_numpy(test.labels).to(device)
    places = [torch.from_numpy(draw).to(device) for draw in draws]
    num_correct = [0] * len(draws)
    size = max(1, LARGEST // len(known))
    for some, right in zip(
        torch.split(asked, size), torch.split(wanted, size), strict=True
    ):
        distances = (1.0 - some @ known.mT).clamp_min(0.0)
        for i, place in enumerate(places):
            whole = len(place) == len(known)
            predicted = _vote(
                distances if whole else distances[:, place],
                labels if whole else labels[place],
                num_neighbours,
            )
            num_correct[i] += int((predicted == right).sum())
    return [correct / len(wanted) for correct in num_correct]


def _vote(
    distances: Float[Tensor, "asked known"],
    labels: Int[Tensor, " known"],
    num_neighbours: int,
) -> Int[Tensor, " asked"]:
    count = min(num_neighbours, len(labels))
    near, places = distances.topk(count, dim=1, largest=False, sorted=False)
    same = near == 0.0
    weights = torch.where(same.any(dim=1, keepdim=True), same.to(near), 1.0 / near)
    votes = near.new_zeros(len(near), int(labels.max()) + 1)
    return votes.scatter_add_(1, labels[places], weights).argmax(dim=1)
