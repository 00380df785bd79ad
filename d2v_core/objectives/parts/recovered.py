"""What an objective makes of hidden positions, for people who want to see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from d2v_core.encoders.inputs import Inputs


@dataclass(frozen=True)
class Recovered:
    """One batch with a mask, what is there and what is predicted.

    Attributes:
        mask: True at hidden positions.
        targets: Targets of every position.
        predictions: Predictions of the hidden ones, in the order of ``mask.flatten()``.
    """

    mask: Bool[Tensor, "batch tokens"]
    targets: Float[Tensor, "batch tokens all_dims"]
    predictions: Float[Tensor, "masked all_dims"]


@runtime_checkable
class ShowsRecovered(Protocol):
    """An objective that predicts vectors at hidden positions."""

    def recovered(self, inputs: Inputs) -> Recovered:
        """Hide and predict, as update 0 would, which is none of the training's.

        Args:
            inputs: A batch on the CPU.
        """
