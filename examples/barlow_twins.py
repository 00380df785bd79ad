"""Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230) with two masks as two views."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.objectives.protocol import Draw, SingleNetwork, StepResult
from d2v_core.randomness import numpy_generator


@dataclass(frozen=True)
class TwoMasks(Draw):
    """What is hidden in each view, bool of shape (batch, tokens)."""

    first: Tensor
    second: Tensor


class BarlowTwins(SingleNetwork):
    """Makes two views of a sample agree in every channel, and channels independent."""

    def __init__(
        self,
        trial: Any,
        encoder: Any,
        modality: Any,
        num_classes: int,
        workers: Any,
        redundancy: float = 0.005,
    ) -> None:
        self.encoder, self._seed, self._redundancy = encoder, trial.seed, redundancy
        self._masks = modality.masks(trial, encoder, workers)
        projector = nn.Linear(encoder.dim, encoder.dim)
        self.module = nn.ModuleDict({"encoder": encoder, "projector": projector})

    def draw(self, inputs: Any, step: int) -> TwoMasks:
        """Two masks of each sample, a function of seed and update."""
        streams = [numpy_generator(self._seed, f"view {i}", step) for i in range(2)]
        return TwoMasks(*(self._masks(inputs, stream).mask for stream in streams))

    def loss(self, inputs: Any, labels: Any, draw: TwoMasks, step: int) -> StepResult:
        """Squared distance of the views' correlations (dim, dim) from identity."""
        tokens = [self.encoder(inputs, mask) for mask in (draw.first, draw.second)]
        views = [self.module["projector"](t.mean(dim=1)) for t in tokens]
        one, two = (F.batch_norm(v, None, None, training=True) for v in views)
        error = one.T @ two / len(one) - torch.eye(one.shape[1], device=one.device)
        on_diagonal = error.diagonal().square().sum()
        off_diagonal = error.square().sum() - on_diagonal
        spread = views[0].detach().std(dim=0).mean()
        return StepResult(
            loss=on_diagonal + self._redundancy * off_diagonal,
            measure=lambda: {"prediction/std": float(spread)},
        )
