"""What an objective offers, and what builds one.

The training loop knows this and nothing else of what is optimised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from d2v_core.config.choices import Network
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import Inputs, Movable
from d2v_core.training.parallel import Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality

Measure = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Draw(Movable):
    """What is drawn for one update; nothing, unless an objective adds fields."""


@dataclass(frozen=True)
class StepResult:
    """The loss of one batch, and metrics that are computed only when asked for.

    Attributes:
        loss: What is minimised.
        measure: Metrics that are looked at to see a collapse, and logged.
        describe: Costlier metrics that are logged only; to be called before the
            optimiser changes the weights.
        num_terms: Terms of which the loss is the mean, where batches of the same size
            have more or fewer.
    """

    loss: Float[Tensor, ""]
    measure: Measure
    describe: Measure = dict
    num_terms: int = 1


@runtime_checkable
class Objective(Protocol):
    """One objective with its networks."""

    module: nn.ModuleDict
    """Everything that is optimised."""

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Least healthy value of each metric that tells a collapse."""

    def to(self, device: torch.device) -> None:
        """Move all networks, the teacher too."""

    def draw(self, inputs: Inputs, step: int) -> Draw:
        """Everything random of update ``step`` (from 1) but dropout, on the CPU.

        A function of the seed and the update alone, which a thread may call long before
        the update: masks, rotations, negatives.

        Args:
            inputs: This worker's rows of the batch, on the CPU.
            step: The update.
        """

    def loss(self, inputs: Inputs, labels: Any, draw: Any, step: int) -> StepResult:
        """Loss of update ``step``, all on the device of the networks."""

    def after_update(self, step: int) -> None:
        """Called once after each optimiser update."""

    def network(self, which: Network) -> Encoder:
        """The encoder that is evaluated."""

    def extra_state(self) -> dict[str, Tensor]:
        """State beside ``module`` that a checkpoint must hold."""

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`extra_state` gave."""


class Build(Protocol):
    """Turns a configuration into an objective; each file here has one."""

    def __call__(
        self,
        trial: TrialConfig,
        encoder: Encoder,
        *,
        modality: Modality[Any, Any, Any],
        num_classes: int,
        workers: Workers,
    ) -> Objective:
        """Build it around a freshly initialised encoder.

        Args:
            trial: The configuration.
            encoder: Encoder of the modality.
            modality: Gives masks and what else depends on the kind of input.
            num_classes: Labels of the data; 0: it has none.
            workers: Those that train it together.

        Raises:
            ConfigError: Encoder or data lack what the configuration asks for.
        """


class SingleNetwork:
    """What objectives have in common that train one network and draw nothing."""

    module: nn.ModuleDict
    encoder: Encoder
    _least: Mapping[str, float] = {}

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Least healthy values, by metric; none where nothing could collapse."""
        return self._least

    def to(self, device: torch.device) -> None:
        """Move the network."""
        self.module.to(device)

    def draw(self, inputs: Inputs, step: int) -> Draw:
        """Draw nothing."""
        return Draw()

    def after_update(self, step: int) -> None:
        """Nothing follows an update."""

    def network(self, which: Network) -> Encoder:
        """The only encoder there is."""
        return self.encoder

    def extra_state(self) -> dict[str, Tensor]:
        """Nothing beside the module."""
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Nothing to restore."""
