"""Distances between prediction and target (paper section 3.4, appendix B)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from d2v_core.config.choices import LossTotal
from d2v_core.objectives.parts.pooled import of_whole_mean
from d2v_core.training.parallel import Workers

VARIANCE_EPSILON = 1e-4

RegressionLoss = Callable[
    [Float[Tensor, "masked dim"], Float[Tensor, "masked dim"]], Float[Tensor, ""]
]
"""Mean over all elements of all masked positions of the batch, pooled."""


def scale_factor(scale: float | LossTotal, dim: int) -> float:
    """The number that multiplies the mean over elements.

    The references sum over the ``dim`` channels, which is ``dim`` times the mean:
    ``sum`` leaves it at that (fairseq ``data2vec_text.py`` with ``loss_scale`` 1),
    ``inverse_sqrt_dim`` divides by the root of ``dim`` (``data2vec_audio.py``).
    """
    match scale:
        case "sum":
            return float(dim)
        case "inverse_sqrt_dim":
            return dim / math.sqrt(dim)
        case _:
            return scale


def scaled_loss(loss: RegressionLoss, factor: float) -> RegressionLoss:
    """The loss times a constant."""
    if factor == 1.0:  # vision's: no multiplication to run and to round
        return loss

    def scaled(
        prediction: Float[Tensor, "masked dim"], target: Float[Tensor, "masked dim"]
    ) -> Float[Tensor, ""]:
        return factor * loss(prediction, target)

    return scaled


def l2_loss(
    prediction: Float[Tensor, "masked dim"], target: Float[Tensor, "masked dim"]
) -> Float[Tensor, ""]:
    """Mean squared error."""
    return F.mse_loss(prediction.float(), target)


def l1_loss(
    prediction: Float[Tensor, "masked dim"], target: Float[Tensor, "masked dim"]
) -> Float[Tensor, ""]:
    """Mean absolute error."""
    return F.l1_loss(prediction.float(), target)


def variance_hinge(
    predictions: Float[Tensor, "masked dim"], margin: float, workers: Workers
) -> Float[Tensor, ""]:
    """Mean over channels of what the deviation over all rows lacks to ``margin``.

    Paper section 6; VICReg (arXiv 2105.04906) equation 1, with its epsilon 1e-4 below
    the root and the unbiased variance, over the rows of all workers.
    """

    def hinge(moments: Tensor, num_rows: Tensor) -> Tensor:
        mean, square = moments
        unbiased = num_rows / (num_rows - 1).clamp_min(1)
        variance = (square - mean.square()).clamp_min(0.0) * unbiased
        return F.relu(margin - torch.sqrt(variance + VARIANCE_EPSILON)).mean()

    rows = predictions.float()
    return of_whole_mean(hinge, torch.stack((rows, rows.square()), dim=1), workers)


def smooth_l1_loss(
    prediction: Float[Tensor, "masked dim"],
    target: Float[Tensor, "masked dim"],
    *,
    beta: float,
) -> Float[Tensor, ""]:
    """``e^2 / (2 beta)`` for ``|e| <= beta``, else ``|e| - beta / 2``; the mean."""
    return F.smooth_l1_loss(prediction.float(), target, beta=beta)
