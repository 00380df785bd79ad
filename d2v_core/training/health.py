"""Is the representation alive? Spread and effective rank, and when it has collapsed.

The loss says nothing: it rises while targets get richer (fairseq #4177). Spread is
measured as in fairseq ``data2vec_audio.py`` 502-517: there called variance, it is a
standard deviation. It can be met while the convolutional encoder below is dead
(fairseq #5239) and says nothing about whether predictions follow their targets: hence
the local features' rank, and the gain over a constant.

Its thresholds take targets of about unit size for granted. Targets without any norm
have the size of the encoder's activations (a standard deviation of 0.007 to 0.014 at
the first update of the smoke recipes, docs/log.md), so their spread is compared with
that of the first update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


def mean_std(features: Float[Tensor, "rows dim"]) -> float:
    """Mean over channels of ``sqrt(var + 1e-6)``, the (unbiased) variance over rows."""
    variance = features.float().var(dim=0)
    return float(torch.sqrt(variance + 1e-6).mean())


def spread(features: Float[Tensor, "rows dim"]) -> Float[Tensor, ""]:
    """Mean over channels of the standard deviation over rows; no epsilon below it."""
    return features.float().std(dim=0).mean()


def effective_rank(features: Float[Tensor, "rows dim"]) -> float:
    """Exponential of the entropy of the normalised singular values.

    Roy and Vetterli 2007, of the centred features: 1 when all rows lie on a line, the
    number of channels when every direction is used equally, 0 for constant rows.
    """
    centred = features.double() - features.double().mean(dim=0)
    singular = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0.0).sqrt()
    total = singular.sum()
    if float(total) < 1e-12:
        return 0.0
    return float(torch.exp(torch.special.entr(singular / total).sum()))


def gain_over_constant(
    prediction: Float[Tensor, "masked dim"], target: Float[Tensor, "masked dim"]
) -> float:
    """Share of the targets' variance that the prediction explains.

    ``1 - squared error / squared error of the best constant``, the best constant being
    the targets' mean per channel over these rows: 1 is perfect, 0 no better than the
    constant, negative worse. 0 when the targets are constant: nothing to explain.
    """
    target = target.float()
    spread = float((target - target.mean(dim=0)).square().mean())
    if spread < 1e-12:
        return 0.0
    return 1.0 - float((prediction.float() - target).square().mean()) / spread


@dataclass(frozen=True)
class Collapse:
    """The evidence that a representation collapsed.

    Attributes:
        step: Update at which it was first seen.
        quantity: The metric that fell below its threshold.
        value: Its value then.
        threshold: The least value that counts as healthy.
    """

    step: int
    quantity: str
    value: float
    threshold: float

    def __str__(self) -> str:
        return (
            f"collapsed at step {self.step}: {self.quantity} {self.value:.4g} is below "
            f"{self.threshold:g}"
        )


def find_collapse(
    step: int, measures: Mapping[str, float], thresholds: Mapping[str, float]
) -> Collapse | None:
    """The first measure below its threshold, if any."""
    for quantity, threshold in thresholds.items():
        if quantity in measures and measures[quantity] < threshold:
            return Collapse(step, quantity, measures[quantity], threshold)
    return None
