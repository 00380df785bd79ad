"""What linear fits on frozen features share: draws, standardisation, weights.

A draw is one labelled subset. All draws and all L2 strengths are fitted together
(:mod:`d2v_core.evaluation.logistic`, :mod:`d2v_core.evaluation.ridge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

WHOLE_ROWS = 1 << 22
"""Scores computed at a time, so that many draws need no more memory than one."""


@dataclass(frozen=True)
class Draws:
    """Labelled subsets side by side, shorter ones filled up.

    Attributes:
        features: Features of each sample, float64; what fills up is zero.
        labels: Classes, or numbers of a regression.
        weights: Weight of each sample, summing to 1 in each draw; what fills up has 0.
    """

    features: Float[Tensor, "draws samples dim"]
    labels: Tensor
    weights: Float[Tensor, "draws samples"]

    def __len__(self) -> int:
        return len(self.features)


def stack_draws(
    features: Sequence[Float[Tensor, "_ dim"]], labels: Sequence[Tensor]
) -> Draws:
    """Put subsets, possibly of different sizes, side by side."""
    padded = torch.nn.utils.rnn.pad_sequence
    ones = [part.new_full((len(part),), 1.0 / len(part)).double() for part in features]
    return Draws(
        features=padded([part.double() for part in features], batch_first=True),
        labels=padded(list(labels), batch_first=True),
        weights=padded(ones, batch_first=True),
    )


@dataclass(frozen=True)
class Basis:
    """Standardised features of each draw, turned to their principal directions.

    The penalty of a linear fit is the same there, and there are no more directions than
    samples.

    Attributes:
        values: Values of the samples in that basis.
        directions: Directions of the basis, in standardised features.
        mean: Mean of each feature over the draw's samples.
        deviation: Likewise; 1 where a feature is constant.
    """

    values: Float[Tensor, "draws samples rank"]
    directions: Float[Tensor, "draws rank dim"]
    mean: Float[Tensor, "draws dim"]
    deviation: Float[Tensor, "draws dim"]

    def fits(
        self,
        weight: Float[Tensor, "draws strengths rank outputs"],
        bias: Float[Tensor, "draws strengths outputs"],
        *,
        converged: Bool[Tensor, "draws strengths"],
    ) -> LinearFits:
        """The same fits as functions of the features as they were given."""
        turned = self.directions.mT[:, None] @ weight
        turned = turned / self.deviation[:, None, :, None]
        shift = (self.mean[:, None, None] @ turned).squeeze(2)
        return LinearFits(turned, bias - shift, converged)


def principal_basis(draws: Draws) -> Basis:
    """Standardise with each draw's own mean and deviation, and rotate."""
    weights = draws.weights[:, :, None]
    mean = (weights * draws.features).sum(dim=1)
    centred = (draws.features - mean[:, None]) * (weights > 0)
    deviation = (weights * centred.square()).sum(dim=1).sqrt()
    # As scikit-learn's scaler: what varies by rounding alone is constant.
    smallest = 10 * torch.finfo(torch.float64).eps * mean.abs()
    deviation = torch.where(deviation <= smallest, 1.0, deviation)
    standard = centred / deviation[:, None]
    directions = torch.linalg.svd(weights.sqrt() * standard, full_matrices=False).Vh
    return Basis(standard @ directions.mT, directions, mean, deviation)


@dataclass(frozen=True)
class LinearFits:
    """Linear functions of features, one for each draw and L2 strength.

    Attributes:
        weight: Weights of the features.
        bias: Biases of the outputs; minus infinity for a class that its draw has not.
        converged: Whether the fit ended before its bound on iterations.
    """

    weight: Float[Tensor, "draws strengths dim outputs"]
    bias: Float[Tensor, "draws strengths outputs"]
    converged: Bool[Tensor, "draws strengths"]

    def scores(
        self, features: Float[Tensor, "samples dim"]
    ) -> Float[Tensor, "draws strengths samples outputs"]:
        """Outputs of every fit: logits, or the numbers of a regression."""
        return features.to(self.weight) @ self.weight + self.bias[:, :, None]

    def classes(
        self, features: Float[Tensor, "samples dim"]
    ) -> Int[Tensor, "draws strengths samples"]:
        """The likeliest class of every fit, a part of the samples at a time."""
        per_sample = self.bias.numel()
        parts = torch.split(features, max(1, WHOLE_ROWS // per_sample))
        return torch.cat([self.scores(part).argmax(dim=3) for part in parts], dim=2)

    def numbers(
        self, features: Float[Tensor, "samples dim"]
    ) -> Float[Tensor, "draws strengths samples"]:
        """The only output of every fit."""
        return self.scores(features).squeeze(3)

    def chosen(self, strengths: Int[Tensor, " draws"]) -> LinearFits:
        """One fit for each draw, by the position of its strength."""
        draws = torch.arange(len(strengths), device=self.weight.device)
        return LinearFits(
            self.weight[draws, strengths][:, None],
            self.bias[draws, strengths][:, None],
            self.converged[draws, strengths][:, None],
        )
