"""Masked input regression: predict the input itself where it is hidden.

Two published forms. MAE (He et al. 2021, arXiv 2111.06377; facebookresearch/mae
``models_mae.py``): the encoder runs over the visible patches alone, a light Transformer
over all of them, and the pixels of each hidden patch, with mean 0 and variance 1 of
their own, are regressed. SimMIM (Xie et al. 2021, arXiv 2111.09886): mask tokens run
through the encoder, one linear layer follows, and the loss is L1. Parity of MAE's loss
and gradients with Hugging Face's ``ViTMAEForPreTraining`` is tested.

Departures: masks are the trial's (:mod:`d2v_core.masks`), which are drawn otherwise and
hide as much; SimMIM's linear layer predicts a patch of the encoder, where theirs, after
a Swin Transformer, predicts 32 x 32 pixels. For speech the pieces are frames of log mel
energies, or of the waveform, which no paper of ours reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.baselines import (
    LinearDecoder,
    PixelsObjective,
    TransformerDecoder,
)
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.images import ImageEncoder
from d2v_core.encoders.inputs import Inputs
from d2v_core.encoders.kept import Kept, kept_tokens
from d2v_core.errors import ConfigError, Problem
from d2v_core.masks.masked import MaskSampler
from d2v_core.objectives.parts.decoder import PieceDecoder
from d2v_core.objectives.parts.guesses import PREDICTION_STD
from d2v_core.objectives.parts.places import at_positions
from d2v_core.objectives.parts.recovered import Recovered
from d2v_core.objectives.protocol import Draw, SingleNetwork, StepResult
from d2v_core.randomness import numpy_generator
from d2v_core.training.health import effective_rank, gain_over_constant, mean_std
from d2v_core.training.parallel import ALONE, Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality

SHARE, HEAD_WIDTH = 2 / 3, 32
"""MAE's decoder over ViT-B: 512 of 768 channels, 8 of 12 blocks; channels per head."""
EPSILON = 1e-6
"""Added to the variance of a piece (MAE ``norm_pix_loss``)."""


@dataclass(frozen=True)
class PixelsDraw(Draw):
    """What is hidden in one update.

    Attributes:
        mask: Hidden positions, where predictions are made.
        positions: Where ``mask.flatten()`` is true.
        kept: The visible ones, where only they are encoded; None: mask tokens are.
    """

    mask: Bool[Tensor, "batch tokens"]
    positions: Int[Tensor, " masked"]
    kept: Kept | None


class MaskedPieces(SingleNetwork):
    """Encoder and decoder.

    Args:
        encoder: Encoder whose input has numbers to predict.
        decoder: MAE's, or a linear layer that follows the encoder's mask tokens.
        masks: Draws what is hidden of a batch.
        own_norm: Whether each piece has mean 0 and variance 1 of its own.
        absolute: Whether the distance is absolute, or squared.
        seed: Seed of the masks.
        min_prediction_std: Predictions of a smaller spread are dead.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        decoder: PieceDecoder | nn.Linear,
        masks: MaskSampler,
        own_norm: bool = True,
        absolute: bool = False,
        seed: int = 0,
        min_prediction_std: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        self.encoder = encoder
        self.module = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        self._decoder, self._masks = decoder, masks
        self._own_norm = own_norm
        self._distance = F.l1_loss if absolute else F.mse_loss
        self._seed, self._workers = seed, workers
        self._least = {PREDICTION_STD: min_prediction_std}

    def draw(self, inputs: Inputs, step: int) -> PixelsDraw:
        """One mask per sample, the same stream as data2vec's."""
        mask = self._masks(inputs, numpy_generator(self._seed, "mask", step)).mask
        kept = None
        if isinstance(self._decoder, PieceDecoder):
            real = self.encoder.real(inputs)
            kept = kept_tokens(~mask if real is None else ~mask & real)
        return PixelsDraw(mask, mask.flatten().nonzero().squeeze(1), kept)

    def loss(
        self, inputs: Inputs, labels: Any, draw: PixelsDraw, step: int
    ) -> StepResult:
        """Mean distance over the numbers of all hidden pieces; labels are unused."""
        with torch.no_grad():
            targets = at_positions(self.encoder.pieces(inputs).float(), draw.positions)
            if self._own_norm:
                targets = standardised(targets)
        predictions = self._predicted(inputs, draw).float()
        seen = predictions.detach()
        return StepResult(
            loss=self._distance(predictions, targets),
            measure=lambda: {
                PREDICTION_STD: mean_std(self._workers.gather(seen)),
                "target/std": mean_std(self._workers.gather(targets)),
            },
            describe=lambda: self._describe(seen, targets),
            num_terms=len(draw.positions),
        )

    def recovered(self, inputs: Inputs) -> Recovered:
        """See :class:`d2v_core.objectives.parts.recovered.ShowsRecovered`."""
        device = next(self.module.parameters()).device
        draw, inputs = self.draw(inputs, 0).to(device), inputs.to(device)
        targets = self.encoder.pieces(inputs).float()
        if self._own_norm:
            targets = standardised(targets.flatten(0, 1)).view_as(targets)
        return Recovered(draw.mask, targets, self._predicted(inputs, draw))

    def _predicted(
        self, inputs: Inputs, draw: PixelsDraw
    ) -> Float[Tensor, "masked numbers"]:
        tokens = self.encoder.embed(inputs)
        if draw.kept is None:
            encoded = self.encoder.encode(tokens, draw.mask).tokens
            predicted: Tensor = self._decoder(at_positions(encoded, draw.positions))
            return predicted
        seen = self.encoder.encode(tokens, keep=draw.kept)
        whole = self._decoder(seen, draw.kept, draw.mask.shape[1], tokens.real)
        return at_positions(whole, draw.positions)

    @torch.no_grad()
    def _describe(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        predictions = self._workers.gather(predictions)
        targets = self._workers.gather(targets)
        return {
            "prediction/gain": gain_over_constant(predictions, targets),
            "prediction/effective_rank": effective_rank(predictions),
        }


def standardised(
    pieces: Float[Tensor, "rows numbers"],
) -> Float[Tensor, "rows numbers"]:
    """Mean 0 and (unbiased) variance 1 of each row; a constant row becomes 0."""
    mean = pieces.mean(dim=1, keepdim=True)
    variance = pieces.var(dim=1, keepdim=True)
    return (pieces - mean) / torch.sqrt(variance + EPSILON)


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> MaskedPieces:
    """Read decoder, targets, mask and health; refuse an input that is learned."""
    objective = trial.objective
    assert isinstance(objective, PixelsObjective)
    if problems := _problems(objective, encoder):
        raise ConfigError(problems)
    return MaskedPieces(
        encoder=encoder,
        decoder=_decoder(objective, encoder),
        masks=modality.masks(trial, encoder, workers),
        own_norm=objective.piece_norm == "own",
        absolute=objective.distance == "absolute",
        seed=trial.seed,
        min_prediction_std=trial.health.min_prediction_std,
        workers=workers,
    )


def _decoder(objective: PixelsObjective, encoder: Encoder) -> PieceDecoder | nn.Linear:
    assert encoder.piece_size is not None
    decoder = objective.decoder
    if isinstance(decoder, LinearDecoder):
        return nn.Linear(encoder.dim, encoder.piece_size)
    width, depth, num_heads = decoder_sizes(decoder, encoder)
    return PieceDecoder(
        dim=encoder.dim,
        width=width,
        depth=depth,
        num_heads=num_heads,
        piece_size=encoder.piece_size,
        grid=encoder.grid if isinstance(encoder, ImageEncoder) else None,
    )


def decoder_sizes(
    decoder: TransformerDecoder, encoder: Encoder
) -> tuple[int, int, int]:
    """Width, depth and heads; what is not given is in proportion to the encoder."""
    width = decoder.width or HEAD_WIDTH * max(
        1, round(SHARE * encoder.dim / HEAD_WIDTH)
    )
    depth = decoder.depth or max(1, round(SHARE * encoder.depth))
    return width, depth, decoder.num_heads or max(1, width // HEAD_WIDTH)


def _problems(objective: PixelsObjective, encoder: Encoder) -> list[Problem]:
    if encoder.piece_size is None:
        message = "pixels needs fixed features of speech, speech.front_end.kind must be"
        return [Problem("objective.kind", f"{message} log_mel or patches")]
    if objective.piece_norm == "own" and encoder.piece_size < 2:
        message = "must be none where a piece has a single number, got own"
        return [Problem("objective.piece_norm", message)]
    decoder = objective.decoder
    if isinstance(decoder, LinearDecoder):
        return []
    multiple = 4 if isinstance(encoder, ImageEncoder) else 2
    width, _, num_heads = decoder_sizes(decoder, encoder)
    if width % multiple or width % num_heads:
        message = f"must be divisible by {multiple} and by objective.decoder.num_heads"
        given = f"{message} ({num_heads}), got {width}"
        return [Problem("objective.decoder.width", given)]
    return []
