"""Rotation prediction: by how many quarter turns was the image rotated?

Gidaris, Singh and Komodakis 2018 (arXiv 1803.07728), section 2; their code, "RotNet",
puts all four rotations of each image into the batch. Departure: the classifier is
linear on the mean of a Vision Transformer's patch tokens, where theirs is on
convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from d2v_core.config.baselines import RotationObjective
from d2v_core.config.objective import HeadInit
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import Inputs
from d2v_core.objectives.parts.guesses import PREDICTION_STD, guessed
from d2v_core.objectives.parts.heads import draw_linear
from d2v_core.objectives.protocol import Draw, SingleNetwork, StepResult
from d2v_core.randomness import numpy_generator
from d2v_core.training.parallel import ALONE, Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality

NUM_TURNS = 4


@dataclass(frozen=True)
class RotationDraw(Draw):
    """The rotations of one update.

    Attributes:
        turns: Quarter turns of each image; None: each image comes in all of them.
    """

    turns: Int[Tensor, " batch"] | None = None


class Rotation(SingleNetwork):
    """Encoder and linear classifier of rotations.

    Args:
        encoder: Encoder of square images.
        all_views: Whether each image comes in all rotations, or in one of them.
        init: How the classifier is drawn.
        seed: Seed of the rotations.
        min_prediction_std: Logits of a smaller spread are dead.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        all_views: bool,
        init: HeadInit = "pytorch",
        seed: int = 0,
        min_prediction_std: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        classifier = nn.Linear(encoder.dim, NUM_TURNS)
        draw_linear(classifier, init)
        self.encoder = encoder
        self.module = nn.ModuleDict({"encoder": encoder, "classifier": classifier})
        self._all_views, self._seed, self._workers = all_views, seed, workers
        self._least = {PREDICTION_STD: min_prediction_std}

    def draw(self, inputs: Inputs, step: int) -> RotationDraw:
        """A rotation for each image, unless it comes in all."""
        if self._all_views:
            return RotationDraw()
        size = self._workers.whole(len(inputs))
        generator = numpy_generator(self._seed, "rotation", step)
        turns = generator.integers(NUM_TURNS, size=size)[self._workers.rows(size)]
        return RotationDraw(torch.from_numpy(turns))

    def loss(
        self, inputs: Inputs, labels: Any, draw: RotationDraw, step: int
    ) -> StepResult:
        """Cross-entropy over the four rotations; labels are unused."""
        assert isinstance(inputs, Tensor)
        if draw.turns is None:
            images, turns = all_rotations(inputs)
        else:
            images, turns = rotated(inputs, draw.turns), draw.turns
        pooled = self.encoder(images).mean(dim=1)
        return guessed(self.module["classifier"](pooled), turns, self._workers)


def all_rotations(
    images: Float[Tensor, "batch channels side side"],
) -> tuple[Float[Tensor, "views channels side side"], Int[Tensor, " views"]]:
    """Every image in its four rotations, one rotation after the other; the turns."""
    views = [torch.rot90(images, turns, (2, 3)) for turns in range(NUM_TURNS)]
    turns = torch.arange(NUM_TURNS, device=images.device)
    return torch.cat(views), turns.repeat_interleave(len(images))


def rotated(
    images: Float[Tensor, "batch channels side side"], turns: Int[Tensor, " batch"]
) -> Float[Tensor, "batch channels side side"]:
    """Each image turned by its quarter turns, counter-clockwise."""
    result = images
    for number in range(1, NUM_TURNS):
        turned = torch.rot90(images, number, (2, 3))
        result = torch.where((turns == number)[:, None, None, None], turned, result)
    return result


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Rotation:
    """Read the views and health."""
    assert isinstance(trial.objective, RotationObjective)
    return Rotation(
        encoder=encoder,
        all_views=trial.objective.views == "all",
        init=trial.reference_head,
        seed=trial.seed,
        min_prediction_std=trial.health.min_prediction_std,
        workers=workers,
    )
