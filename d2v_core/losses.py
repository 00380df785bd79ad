"""Distances between prediction and target (paper section 3.4, appendix B)."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

RegressionLoss = Callable[
    [Float[Tensor, "masked dim"], Float[Tensor, "masked dim"]], Float[Tensor, ""]
]
"""Mean over all elements of all masked positions of the batch, pooled."""


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


def smooth_l1_loss(
    prediction: Float[Tensor, "masked dim"],
    target: Float[Tensor, "masked dim"],
    *,
    beta: float,
) -> Float[Tensor, ""]:
    """``e^2 / (2 beta)`` for ``|e| <= beta``, else ``|e| - beta / 2``; the mean."""
    return F.smooth_l1_loss(prediction.float(), target, beta=beta)
