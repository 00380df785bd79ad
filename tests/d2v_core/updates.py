"""What one update computes, and the activations below its targets."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from d2v_core.encoders.encoder import Collect, Encoder, Feature
from d2v_core.objectives.data2vec import Data2Vec
from d2v_core.objectives.protocol import Objective, StepResult


def update(objective: Objective, inputs: Any, labels: Any, step: int) -> StepResult:
    """The loss of an update with its own draw."""
    return objective.loss(inputs, labels, objective.draw(inputs, step), step)


def targets_of(objective: Data2Vec, inputs: Any) -> Tensor:
    """The teacher's targets for inputs of its own."""
    return objective.targets(objective.teacher.network.embed(inputs))


def top_layers(
    encoder: Encoder, inputs: Any, *, feature: Feature, top_k: int
) -> list[Tensor]:
    """Activations of the top blocks for the unmasked input."""
    collect = Collect(top_k, (feature,))
    return encoder.encode(encoder.embed(inputs), collect=collect).layers[feature]
