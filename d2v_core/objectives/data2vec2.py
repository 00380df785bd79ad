"""data2vec 2.0: M masks share one teacher pass, and the student sees what is left.

arXiv 2212.07525; fairseq ``examples/data2vec/models/data2vec2.py`` and
``models/modalities/base.py``. Targets, teacher and health are those of
:mod:`d2v_core.objectives.data2vec`. For each mask of a sample the student encodes the
kept tokens alone, noise N(0, 0.01^2) fills the other slots, and a convolutional decoder
predicts the targets there. The feature encoder runs once for all masks.

Departures: the class token's loss is a mean over the masks of all images, each with the
weight of its hidden positions, so that it does not depend on how a batch is spread over
workers; the reference sums it over the rows of a GPU. Dropout of vision's and text's
placed tokens is the same for all masks of a sample. Blocks are those of the modality's
encoder: published images have post-norm blocks, which timm's ViT has not, and published
speech has ALiBi attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from d2v_core.config.data2vec2 import Data2Vec2Objective
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoded, Encoder
from d2v_core.encoders.inputs import Inputs
from d2v_core.encoders.kept import Kept, kept_tokens
from d2v_core.errors import ConfigError, Problem
from d2v_core.objectives.data2vec import Data2Vec, encoder_problems, settings_of
from d2v_core.objectives.parts.conv_decoder import ConvDecoder
from d2v_core.objectives.parts.places import at_positions
from d2v_core.objectives.parts.recovered import Recovered
from d2v_core.objectives.protocol import Draw, StepResult
from d2v_core.randomness import derived_seed, numpy_generator
from d2v_core.training.parallel import Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality


@dataclass(frozen=True)
class MasksDraw(Draw):
    """The masks of one update, and what follows from them, found on the CPU.

    ``copies`` below are the samples, each as often as it has masks.

    Attributes:
        mask: True where the student sees nothing and targets are predicted.
        kept: The tokens it sees, of all copies.
        kept_rows: Which of the encoded tokens are none that fill up a row, as places in
            the flattened copies of kept tokens; None: all are.
        kept_at: Where those belong, as places in the flattened copies of all tokens.
        positions: The masked places in the flattened copies.
        targets_at: The same places in the flattened samples.
        rows: The copy of each masked place, where copies have unequal numbers of them.
    """

    mask: Bool[Tensor, "batch masks tokens"]
    kept: Kept
    kept_rows: Int[Tensor, " kept"] | None
    kept_at: Int[Tensor, " kept"]
    positions: Int[Tensor, " masked"]
    targets_at: Int[Tensor, " masked"]
    rows: Int[Tensor, " masked"] | None


class Data2Vec2(Data2Vec):
    """Student with decoder, and its EMA teacher.

    Args:
        decoder: Predicts from all tokens of a copy, at its masked places.
        num_masks: Masks per sample.
        noise_std: Standard deviation of what stands at masked places.
        class_token_weight: Weight of the class token's loss.
        settings: What :class:`d2v_core.objectives.data2vec.Data2Vec` takes, without
            head.
    """

    def __init__(
        self,
        *,
        decoder: ConvDecoder,
        num_masks: int,
        noise_std: float,
        class_token_weight: float,
        **settings: Any,
    ) -> None:
        super().__init__(head=decoder, **settings)
        self._decoder = decoder
        self._num_masks, self._noise_std = num_masks, noise_std
        self._class_token_weight = class_token_weight

    # Draws are handed from the one method to the other, and are no concern of others.
    def draw(self, inputs: Inputs, step: int) -> MasksDraw:  # type: ignore[override]
        """The masks; those of a smaller number are the first of a larger one."""
        streams = ["mask", *(f"mask/{i}" for i in range(1, self._num_masks))]
        drawn = [
            self._masks(inputs, numpy_generator(self._seed, stream, step))
            for stream in streams
        ]
        assert all(one.read is None for one in drawn)  # features would differ by mask
        mask = torch.stack([one.mask for one in drawn], dim=1)
        return masks_draw(mask, self.student.real(inputs))

    def loss(  # type: ignore[override]
        self, inputs: Inputs, labels: Any, draw: MasksDraw, step: int
    ) -> StepResult:
        """Regress the teacher's targets where each mask hides them; no labels."""
        read = self.student.embed(inputs)
        whole = self.targets(self._seen_by_teacher(inputs, read))
        targets = at_positions(whole, draw.targets_at)
        encoded = self.student.encode(read, keep=draw.kept)
        predictions = self._predicted(encoded, draw, step, read.real)
        loss = self._distance(predictions, targets)
        if self._class_token_weight and encoded.prefix.shape[1]:
            tokens = encoded.prefix[:, 0]
            loss = loss + self._class_token_weight * self._class_loss(
                tokens, whole, draw
            )
        return self._result(inputs, loss, predictions, targets, step)

    def _predicted(
        self,
        encoded: Encoded,
        draw: MasksDraw,
        step: int,
        real: Bool[Tensor, "batch tokens"] | None,
    ) -> Float[Tensor, "masked dim"]:
        """The decoder's at the masked places of all copies."""
        if real is not None:
            real = real.repeat_interleave(self._num_masks, dim=0)
        slots = self._filled(encoded, draw, step)
        predicted: Tensor = self._decoder(slots, draw.positions, real)
        return predicted

    def recovered(self, inputs: Inputs) -> Recovered:
        """Those of the first mask of each sample."""
        device = next(self.module.parameters()).device
        draw, inputs = self.draw(inputs, 0).to(device), inputs.to(device)
        read = self.student.embed(inputs)
        targets = self.targets(self._seen_by_teacher(inputs, read))
        encoded = self.student.encode(read, keep=draw.kept)
        predictions = self._predicted(encoded, draw, 0, read.real)
        copies = draw.positions.div(draw.mask.shape[2], rounding_mode="floor")
        first = copies % self._num_masks == 0
        return Recovered(draw.mask[:, 0], targets, predictions[first])

    def _filled(
        self, encoded: Encoded, draw: MasksDraw, step: int
    ) -> Float[Tensor, "copies tokens dim"]:
        """The encoded tokens at their places, and noise at all others.

        Noise is drawn where the networks are, a function of seed and update; of several
        workers each draws that of the whole batch and keeps its own.
        """
        tokens = self._decoder.input_dropout(encoded.tokens)
        copies, dim = len(tokens), tokens.shape[-1]
        num_tokens = draw.mask.shape[2]
        whole = self._workers.whole(copies)
        noise = normal_noise(
            (whole, num_tokens, dim), tokens, derived_seed(self._seed, "noise", step)
        )[self._workers.rows(whole)]
        flat = tokens.flatten(0, 1)
        if draw.kept_rows is not None:
            flat = flat.index_select(0, draw.kept_rows)
        slots = noise.mul_(self._noise_std).flatten(0, 1)
        return slots.index_copy_(0, draw.kept_at, flat).view(copies, num_tokens, dim)

    def _class_loss(
        self,
        tokens: Float[Tensor, "copies dim"],
        targets: Float[Tensor, "batch tokens dim"],
        draw: MasksDraw,
    ) -> Float[Tensor, ""]:
        """Distance of each copy's class token from the mean target of its image."""
        means = targets.mean(dim=1).repeat_interleave(self._num_masks, dim=0)
        if draw.rows is not None:  # a copy counts as often as it has masked places
            tokens, means = (
                part.index_select(0, draw.rows) for part in (tokens, means)
            )
        return self._distance(tokens, means)


def masks_draw(
    mask: Bool[Tensor, "batch masks tokens"],
    real: Bool[Tensor, "batch tokens"] | None,
) -> MasksDraw:
    """Everything that is found from masks alone, on the CPU.

    Args:
        mask: True at hidden tokens, real ones only, of which each copy keeps one.
        real: False at padding; None when there is none.
    """
    batch, num_masks, num_tokens = mask.shape
    keep = ~mask if real is None else ~mask & real[:, None]
    kept = kept_tokens(keep.flatten(0, 1))
    copy, token = mask.flatten(0, 1).nonzero(as_tuple=True)
    counts = mask.sum(dim=2)
    uneven = bool((counts != counts[0, 0]).any())
    return MasksDraw(
        mask=mask,
        kept=kept,
        kept_rows=None if kept.real is None else kept.real.flatten().nonzero()[:, 0],
        kept_at=keep.flatten().nonzero()[:, 0],
        positions=copy * num_tokens + token,
        targets_at=copy.div(num_masks, rounding_mode="floor") * num_tokens + token,
        rows=copy if uneven else None,
    )


def normal_noise(shape: tuple[int, ...], like: Tensor, seed: int) -> Tensor:
    """Standard normal numbers with device and type of ``like``, from their seed."""
    generator = None
    if like.device.type != "meta":  # which has no numbers, nor generators
        generator = torch.Generator(like.device).manual_seed(seed)
    options: Any = {"device": like.device, "dtype": like.dtype}
    return torch.randn(shape, generator=generator, **options)


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Data2Vec2:
    """Read what data2vec reads but the head, and the objective's own settings."""
    own = trial.objective
    assert isinstance(own, Data2Vec2Objective)
    problems = [*encoder_problems(trial, encoder), *_problems(trial, own, encoder)]
    if problems:
        raise ConfigError(problems)
    decoder = ConvDecoder(
        dim=encoder.dim, grid=getattr(encoder, "grid", None), **own.decoder.model_dump()
    )
    return Data2Vec2(
        decoder=decoder,
        num_masks=own.num_masks,
        noise_std=own.noise_std,
        class_token_weight=own.class_token_weight,
        **settings_of(trial, encoder, modality, workers),
    )


def _problems(
    trial: TrialConfig, own: Data2Vec2Objective, encoder: Encoder
) -> list[Problem]:
    """Settings that do not go with several masks, or with the encoder's width."""
    problems, decoder = [], own.decoder
    if encoder.dim % decoder.groups or decoder.width % decoder.groups:
        message = f"must divide the encoder's width ({encoder.dim}) and decoder.width"
        given = f"{message} ({decoder.width}), got {decoder.groups}"
        problems.append(Problem("objective.decoder.groups", given))
    shown: float = getattr(trial, "mask").model_dump().get("mask_share", 1.0)  # noqa: B009
    if shown < 1.0:
        message = "must be 1 for data2vec2, whose masks share one pass of the features"
        problems.append(Problem("mask.mask_share", f"{message}, got {shown:g}"))
    if trial.teacher.input != "whole":
        message = f"must be whole for data2vec2, got {trial.teacher.input}"
        problems.append(Problem("teacher.input", message))
    if trial.target.combine != "average":
        message = "must be average for data2vec2, which has one decoder"
        problems.append(
            Problem("target.combine", f"{message}, got {trial.target.combine}")
        )
    return problems
