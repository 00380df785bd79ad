"""Reference arm: the encoder as initialised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import Inputs
from d2v_core.objectives.protocol import Draw, SingleNetwork, StepResult
from d2v_core.training.parallel import Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality


class Untrained(SingleNetwork):
    """Only an encoder.

    Args:
        encoder: The encoder.
    """

    def __init__(self, *, encoder: Encoder) -> None:
        self.encoder = encoder
        self.module = nn.ModuleDict({"encoder": encoder})

    def loss(self, inputs: Inputs, labels: Any, draw: Draw, step: int) -> StepResult:
        """Never called: such a trial has no updates."""
        raise AssertionError("an untrained encoder has no training step")


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Untrained:
    """Read nothing of the configuration."""
    return Untrained(encoder=encoder)
