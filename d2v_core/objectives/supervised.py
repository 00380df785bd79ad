"""Reference arm: the encoder with a linear classifier, trained on labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from d2v_core.config.objective import SupervisedObjective
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import Inputs
from d2v_core.errors import ConfigError, Problem
from d2v_core.objectives.parts.criteria import Criterion
from d2v_core.objectives.protocol import Draw, SingleNetwork, StepResult
from d2v_core.training.parallel import ALONE, Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality


class Supervised(SingleNetwork):
    """The encoder with a linear classifier, from scratch.

    Args:
        encoder: The encoder.
        num_classes: Number of labels.
        criterion: Loss of the classifier on the encoder's tokens.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        criterion: Criterion,
        workers: Workers = ALONE,
    ) -> None:
        classifier = nn.Linear(encoder.dim, num_classes)
        self.encoder = encoder
        self.module = nn.ModuleDict({"encoder": encoder, "classifier": classifier})
        self._criterion, self._workers = criterion, workers

    def loss(self, inputs: Inputs, labels: Any, draw: Draw, step: int) -> StepResult:
        """The criterion on the unmasked input."""
        seen = self.encoder.encode(self.encoder.embed(inputs))
        classifier = self.module["classifier"]
        loss, counts = self._criterion(classifier, seen.tokens, seen.real, labels)
        return StepResult(
            loss=loss,
            measure=lambda: {
                name: self._ratio(parts) for name, parts in counts.items()
            },
        )

    def _ratio(self, parts: Tensor) -> float:
        numerator, denominator = self._workers.total(parts.clone()).tolist()
        return float(numerator / max(denominator, 1.0))


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Supervised:
    """Refuse data without labels."""
    assert isinstance(trial.objective, SupervisedObjective)
    if not num_classes:
        message = "supervised needs labelled training data, this has none"
        raise ConfigError([Problem("objective.kind", message)])
    return Supervised(
        encoder=encoder,
        num_classes=num_classes,
        criterion=modality.criterion(trial, trial.objective.label_smoothing),
        workers=workers,
    )
