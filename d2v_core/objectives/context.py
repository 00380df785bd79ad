"""Context prediction: where, of eight places around the first, is the second patch?

Doersch, Gupta and Efros 2015 (arXiv 1505.05192), section 3: patches of 96 pixels with a
gap of half a patch and a jitter of 7 pixels, so that neither lines nor edges that go on
give the answer; colours are dropped against chromatic aberration.

Departures: sides are shares of the image's, cut to whole patches of the encoder; each
patch lies at a place of the encoder's grid drawn at random, the same for both, so that
its positions say nothing; the classifier on both has one hidden layer as wide as the
two, theirs two of 4,096; dropped colours are 0, the mean, where theirs are noise; and
their random downsampling of patches is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from d2v_core.config.baselines import ContextObjective
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.images import ImageEncoder
from d2v_core.encoders.inputs import Inputs
from d2v_core.errors import ConfigError, Problem
from d2v_core.objectives.parts.guesses import PREDICTION_STD, guessed, guessing_head
from d2v_core.objectives.parts.tiles import cut, encoded_tiles, patches_of
from d2v_core.objectives.protocol import Draw, SingleNetwork, StepResult
from d2v_core.randomness import numpy_generator
from d2v_core.training.parallel import ALONE, Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality

AROUND = np.array(
    [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
)
"""Rows and columns from the first patch to the second, by class."""


@dataclass(frozen=True)
class ContextDraw(Draw):
    """The pairs of one update.

    Attributes:
        patches: Both of each image, on an otherwise empty image each.
        index: Tokens they lie on.
        places: Where the second lies, of :data:`AROUND`.
    """

    patches: Float[Tensor, "batch two channels side side"]
    index: Int[Tensor, "batch two tokens"]
    places: Int[Tensor, " batch"]


@dataclass(frozen=True)
class Layout:
    """How pairs are cut.

    Attributes:
        side: Side of a patch, in patches of the encoder.
        gap: Pixels between two.
        jitter: Largest shift of the second, in pixels.
        drops_colours: Whether each keeps one channel.
    """

    side: int
    gap: int
    jitter: int
    drops_colours: bool


class Context(SingleNetwork):
    """Encoder, and a classifier of two patches.

    Args:
        encoder: Encoder of square images.
        head: From both patches to the eight places.
        layout: How pairs are cut.
        seed: Seed of the pairs.
        min_prediction_std: Logits of a smaller spread are dead.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: ImageEncoder,
        head: nn.Module,
        layout: Layout,
        seed: int = 0,
        min_prediction_std: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        self.encoder: Encoder = encoder
        self._vision = encoder
        self.module = nn.ModuleDict({"encoder": encoder, "head": head})
        self._layout, self._seed, self._workers = layout, seed, workers
        self._least = {PREDICTION_STD: min_prediction_std}

    def draw(self, inputs: Inputs, step: int) -> ContextDraw:
        """A pair of each image, cut out of it."""
        assert isinstance(inputs, Tensor)
        size = self._workers.whole(len(inputs))
        rows = self._workers.rows(size)
        generator = numpy_generator(self._seed, "context", step)
        layout, (pixels, _) = self._layout, self._vision.patch_size
        side = layout.side * pixels
        places = generator.integers(len(AROUND), size=size)
        corners = pair_corners(places, inputs.shape[2], side, layout, generator)
        lies = generator.integers(
            self._vision.grid[0] - layout.side + 1, size=(size, 2)
        )
        kept = generator.integers(inputs.shape[1], size=(size, 2))
        pairs = cut(inputs, corners[rows, :, 0], corners[rows, :, 1], side)
        if layout.drops_colours and inputs.shape[1] > 1:
            channels = torch.arange(inputs.shape[1])
            keeps = torch.from_numpy(kept[rows])[:, :, None] == channels
            pairs = pairs * keeps[:, :, :, None, None]
        lies = lies[rows]
        canvas = inputs.new_zeros(len(inputs), 2, *inputs.shape[1:])
        for image, pair, (top, left) in zip(canvas, pairs, lies * pixels, strict=True):
            image[:, :, top : top + side, left : left + side] = pair
        index = patches_of(lies[:, 0], lies[:, 1], layout.side, self._vision.grid[1])
        return ContextDraw(
            patches=canvas,
            index=torch.from_numpy(np.repeat(index[:, None], 2, axis=1)),
            places=torch.from_numpy(places[rows]),
        )

    def loss(
        self, inputs: Inputs, labels: Any, draw: ContextDraw, step: int
    ) -> StepResult:
        """Cross-entropy over the eight places; labels are unused."""
        tokens = self.encoder.embed(draw.patches.flatten(0, 1))
        index = draw.index.flatten(0, 1).unsqueeze(1)
        tiles = encoded_tiles(self.encoder, tokens, index)
        pairs = tiles.view(len(draw.places), -1)
        return guessed(self.module["head"](pairs), draw.places, self._workers)


def pair_corners(
    places: Int[np.ndarray, " batch"],
    image_size: int,
    side: int,
    layout: Layout,
    generator: np.random.Generator,
) -> Int[np.ndarray, "batch two axes"]:
    """Upper left corners of both patches, all of each inside the image.

    Args:
        places: Where the second lies.
        image_size: Pixels along a side.
        side: Side of a patch, in pixels.
        layout: Gap and jitter.
        generator: Draws where the first lies, and the jitter.
    """
    step, batch = side + layout.gap, len(places)
    room = image_size - side - 2 * step
    first = generator.integers(room + 1, size=(batch, 2)) + step
    jitter = layout.jitter
    shift = generator.integers(-jitter, jitter + 1, size=(batch, 2))
    second = first + AROUND[places] * step + shift
    return np.stack((first, second.clip(0, image_size - side)), axis=1)


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Context:
    """Read the layout and health; refuse patches that do not fit."""
    config = trial.objective
    assert isinstance(config, ContextObjective)
    assert isinstance(encoder, ImageEncoder)
    pixels, rows = encoder.patch_size[0], encoder.grid[0]
    in_patches = max(1, int(config.side * rows))
    side = in_patches * pixels
    gap = round(config.gap * side)
    if 3 * side + 2 * gap > rows * pixels:
        message = f"three patches of {side} pixels and two gaps of {gap} must fit into"
        raise ConfigError(
            [Problem("objective.side", f"{message} {rows * pixels}, got {config.side}")]
        )
    dim = 2 * encoder.dim
    return Context(
        encoder=encoder,
        head=guessing_head(dim, dim, len(AROUND), trial.reference_head),
        layout=Layout(
            side=in_patches,
            gap=gap,
            jitter=round(config.jitter * side),
            drops_colours=config.colours == "drop",
        ),
        seed=trial.seed,
        min_prediction_std=trial.health.min_prediction_std,
        workers=workers,
    )
