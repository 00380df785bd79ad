"""Jigsaw puzzles: in which of a set of orders were the nine tiles put?

Noroozi and Favaro 2016 (arXiv 1603.09246), sections 3 and 4: tiles of 64 pixels cut at
random out of the 75 of each cell of a 3 x 3 grid, each with mean 0 and variance 1 of
its own, encoded one by one by the same network ("context-free") and classified together
into one of 1,000 orders, chosen greedily for a large Hamming distance (algorithm 1).

Departures: a tile is as many whole patches of the encoder as fit into a cell (64 of 74
pixels of a 224 image in patches of 16); it lies on the encoder's grid where its order
puts it; the classifier has one hidden layer four times as wide as the encoder; of the
candidates that algorithm 1 compares, all 362,880 orders, a random 20,000 are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from d2v_core.config.baselines import JigsawObjective
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

CELLS = 3
NUM_TILES = CELLS * CELLS
NUM_CANDIDATES = 20_000
HIDDEN_RATIO = 4
EPSILON = 1e-6
"""Added to the variance of a tile."""


@dataclass(frozen=True)
class JigsawDraw(Draw):
    """The puzzles of one update.

    Attributes:
        puzzles: Images of the tiles in their new order, side by side.
        orders: Which order it is.
    """

    puzzles: Float[Tensor, "batch channels side side"]
    orders: Int[Tensor, " batch"]


class Jigsaw(SingleNetwork):
    """Encoder, and a classifier of nine tiles.

    Args:
        encoder: Encoder of square images, at least three patches along a side.
        head: From all tiles to the orders.
        orders: The set of orders.
        seed: Seed of the puzzles.
        min_prediction_std: Logits of a smaller spread are dead.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: ImageEncoder,
        head: nn.Module,
        orders: Int[np.ndarray, "orders tiles"],
        seed: int = 0,
        min_prediction_std: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        self.encoder: Encoder = encoder
        self._vision = encoder
        self.module = nn.ModuleDict({"encoder": encoder, "head": head})
        self._orders, self._seed, self._workers = orders, seed, workers
        self._least = {PREDICTION_STD: min_prediction_std}
        side = encoder.grid[0] // CELLS
        tops, lefts = np.divmod(np.arange(NUM_TILES), CELLS)
        self._index = patches_of(tops * side, lefts * side, side, encoder.grid[1])

    def draw(self, inputs: Inputs, step: int) -> JigsawDraw:
        """A puzzle of each image."""
        assert isinstance(inputs, Tensor)
        size = self._workers.whole(len(inputs))
        rows = self._workers.rows(size)
        generator = numpy_generator(self._seed, "jigsaw", step)
        orders = generator.integers(len(self._orders), size=size)
        cell = inputs.shape[2] // CELLS
        side = self._vision.grid[0] // CELLS * self._vision.patch_size[0]
        shifts = generator.integers(cell - side + 1, size=(2, size, NUM_TILES))
        sources = self._orders[orders]  # the cell that each place shows
        tops, lefts = np.stack(np.divmod(sources, CELLS)) * cell + shifts
        tiles = standardised(cut(inputs, tops[rows], lefts[rows], side))
        puzzles = torch.zeros_like(inputs)
        square = tiles.view(len(tiles), CELLS, CELLS, *tiles.shape[2:])
        square = square.permute(0, 3, 1, 4, 2, 5)
        whole = CELLS * side
        puzzles[:, :, :whole, :whole] = square.reshape(*inputs.shape[:2], whole, whole)
        return JigsawDraw(puzzles, torch.from_numpy(orders[rows]))

    def loss(
        self, inputs: Inputs, labels: Any, draw: JigsawDraw, step: int
    ) -> StepResult:
        """Cross-entropy over the orders; labels are unused."""
        index = torch.as_tensor(self._index, device=draw.orders.device)
        index = index.expand(len(draw.orders), -1, -1)
        tokens = self.encoder.embed(draw.puzzles)
        tiles = encoded_tiles(self.encoder, tokens, index)
        return guessed(
            self.module["head"](tiles.flatten(1)), draw.orders, self._workers
        )


def standardised(
    tiles: Float[Tensor, "batch tiles channels side side"],
) -> Float[Tensor, "batch tiles channels side side"]:
    """Mean 0 and variance 1 of each channel of each tile; a constant one becomes 0."""
    centred = tiles - tiles.mean(dim=(3, 4), keepdim=True)
    variance = centred.square().mean(dim=(3, 4), keepdim=True)
    return centred / torch.sqrt(variance + EPSILON)


@lru_cache(maxsize=8)
def distant_orders(num_orders: int, seed: int = 0) -> Int[np.ndarray, "orders tiles"]:
    """Different orders, each as far from those before it as a candidate can be.

    Algorithm 1: the next order has the largest Hamming distance to the set so far; here
    the least distance counts first, then the mean.

    Args:
        num_orders: Fewer than :data:`NUM_CANDIDATES`.
        seed: Seed of the candidates.
    """
    generator = numpy_generator(seed, "jigsaw orders")
    keys = generator.random((NUM_CANDIDATES, NUM_TILES))
    candidates = np.unique(keys.argsort(axis=1), axis=0)
    chosen = [int(generator.integers(len(candidates)))]
    least = np.full(len(candidates), NUM_TILES)
    total = np.zeros(len(candidates), dtype=np.int64)
    while len(chosen) < num_orders:
        distance = (candidates != candidates[chosen[-1]]).sum(axis=1)
        least, total = np.minimum(least, distance), total + distance
        # A chosen one is at distance 0 of itself, so that none comes twice.
        merit = least + total / (len(chosen) * (NUM_TILES + 1))
        merit[least == 0] = -1.0
        chosen.append(int(merit.argmax()))
    return candidates[chosen]


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Jigsaw:
    """Read the number of orders and health; refuse a grid that is too small."""
    config = trial.objective
    assert isinstance(config, JigsawObjective)
    assert isinstance(encoder, ImageEncoder)
    if min(encoder.grid) < CELLS:
        message = f"jigsaw needs at least {CELLS} patches along a side of the image"
        raise ConfigError(
            [Problem("objective.kind", f"{message}, got {min(encoder.grid)}")]
        )
    num_orders = config.num_permutations
    return Jigsaw(
        encoder=encoder,
        head=guessing_head(
            NUM_TILES * encoder.dim,
            HIDDEN_RATIO * encoder.dim,
            num_orders,
            trial.reference_head,
        ),
        orders=distant_orders(num_orders),
        seed=trial.seed,
        min_prediction_std=trial.health.min_prediction_std,
        workers=workers,
    )
