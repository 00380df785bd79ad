"""wav2vec 2.0: which of these quantised frames is the one behind the mask?

Baevski et al. 2020 (arXiv 2006.11477) section 3; fairseq ``models/wav2vec/wav2vec2.py``
and ``criterions/wav2vec_criterion.py``. Cosine similarity of the encoder's masked frame
with the quantised features of the same place and with those of other masked frames of
the utterance; a diversity loss on the code books; a penalty on the size of the
convolutions' output. Parity with Hugging Face's ``Wav2Vec2ForPreTraining`` is tested.
Departure: losses are means over masked frames, where fairseq sums them and divides the
gradients; the weights are therefore the same.

With a collapsed code book every distractor equals the right answer and is left out:
loss 0, accuracy 1. So ``codes/perplexity`` is the metric to watch, not those two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.baselines import ContrastiveObjective
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder, Tokens
from d2v_core.encoders.inputs import Inputs, Padded
from d2v_core.encoders.speech import SpeechEncoder
from d2v_core.errors import ConfigError, Problem
from d2v_core.masks.masked import MaskSampler
from d2v_core.objectives.parts.distractors import ContrastiveDraw, contrastive_draw
from d2v_core.objectives.parts.guesses import PREDICTION_STD, share_right
from d2v_core.objectives.parts.places import at_positions
from d2v_core.objectives.parts.pooled import of_whole_mean
from d2v_core.objectives.parts.quantiser import (
    GumbelQuantiser,
    chosen_counts,
    perplexities,
)
from d2v_core.objectives.protocol import SingleNetwork, StepResult
from d2v_core.randomness import numpy_generator
from d2v_core.training.health import effective_rank, mean_std
from d2v_core.training.parallel import ALONE, Workers
from d2v_core.training.schedules import resolve_duration

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality

CODE_PERPLEXITY = "codes/perplexity"


class Contrastive(SingleNetwork):
    """Encoder, quantiser, and a projection of each side.

    Args:
        encoder: Speech encoder.
        quantiser: Quantiser of the front end's frames.
        width: Channels in which both sides are compared.
        masks: Draws what is hidden of a batch.
        num_distractors: Wrong answers beside the right one.
        temperature_at: Temperature of the Gumbel softmax at an update (from 1).
        logit_temperature: Divides the similarities.
        diversity_weight: Weight of the unused share of the code books.
        penalty_weight: Weight of the mean square of the frames.
        feature_gradient: Factor of the gradient that reaches the front end.
        feature_dropout: Dropout of what the quantiser reads.
        seed: Seed of masks, distractors and noise.
        min_code_perplexity: Code books with fewer codes in use are collapsed.
        min_prediction_std: Predictions of a smaller spread are dead.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: SpeechEncoder,
        quantiser: GumbelQuantiser,
        width: int,
        masks: MaskSampler,
        num_distractors: int,
        temperature_at: Callable[[int], float],
        logit_temperature: float = 0.1,
        diversity_weight: float = 0.1,
        penalty_weight: float = 10.0,
        feature_gradient: float = 1.0,
        feature_dropout: float = 0.0,
        seed: int = 0,
        min_code_perplexity: float = 0.0,
        min_prediction_std: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        self.encoder: Encoder = encoder
        self._speech, self._quantiser = encoder, quantiser
        code_width = quantiser.codes.shape[0] * quantiser.codes.shape[2]
        self.module = nn.ModuleDict(
            {
                "encoder": encoder,
                "quantiser": quantiser,
                "project_codes": nn.Linear(code_width, width),
                "project_tokens": nn.Linear(encoder.dim, width),
                "feature_dropout": nn.Dropout(feature_dropout),
            }
        )
        self._masks, self._num_distractors = masks, num_distractors
        self._temperature_at, self._logit_temperature = (
            temperature_at,
            logit_temperature,
        )
        self._diversity_weight, self._penalty_weight = diversity_weight, penalty_weight
        self._feature_gradient = feature_gradient
        self._seed, self._workers = seed, workers
        self._least = {
            CODE_PERPLEXITY: min_code_perplexity,
            PREDICTION_STD: min_prediction_std,
        }

    def draw(self, inputs: Inputs, step: int) -> ContrastiveDraw:
        """Masks (data2vec's stream); distractors and noise of each utterance's own."""
        mask = self._masks(inputs, numpy_generator(self._seed, "mask", step)).mask
        first = self._workers.rows(self._workers.whole(len(mask))).start
        quantiser = self._quantiser
        return contrastive_draw(
            mask,
            [
                numpy_generator(self._seed, f"distractors/{first + row}", step)
                for row in range(len(mask))
            ],
            num_distractors=self._num_distractors,
            num_groups=quantiser.num_groups,
            num_codes=quantiser.num_codes,
        )

    def loss(
        self, inputs: Inputs, labels: Any, draw: ContrastiveDraw, step: int
    ) -> StepResult:
        """Contrastive loss, diversity and penalty; labels are unused."""
        assert isinstance(inputs, Padded)
        module, front_end = self.module, self._speech.front_end
        waves = inputs.values[:, : max(inputs.lengths)]
        frames = front_end.frames(waves, inputs.lengths)
        if frames.requires_grad and self._feature_gradient != 1.0:
            hook: Any = frames.register_hook  # has no types
            hook(lambda grad: grad * self._feature_gradient)
        masked = at_positions(front_end.normed(frames), draw.positions)
        quantised = module["quantiser"](
            module["feature_dropout"](masked), draw.noise, self._temperature_at(step)
        )
        tokens = Tokens(front_end.project(frames), self.encoder.real(inputs))
        encoded = self.encoder.encode(tokens, draw.mask).tokens
        predictions = module["project_tokens"](at_positions(encoded, draw.positions))
        candidates = module["project_codes"](quantised.vectors)
        similar = similarities(
            predictions, candidates, quantised.chosen, draw.distractor_rows
        )
        scores = similar / self._logit_temperature
        answers = draw.positions.new_zeros(len(draw.positions))
        loss = F.cross_entropy(scores, answers)
        loss = loss + self._diversity_weight * self._unused(quantised.logits)
        if frames.requires_grad:  # what is not learned cannot grow
            loss = loss + self._penalty_weight * self._size(frames, len(answers))
        kept = predictions.detach(), scores.detach(), quantised.logits.detach()
        return StepResult(
            loss=loss,
            measure=lambda: self._measure(step, *kept),
            describe=lambda: self._describe(inputs, kept[0]),
            num_terms=len(answers),
        )

    def _unused(self, logits: Float[Tensor, "rows groups codes"]) -> Tensor:
        """Share of the code books' entries that the whole batch leaves unused."""
        num_entries = logits.shape[1] * logits.shape[2]

        def unused(mean: Tensor, num_rows: Tensor) -> Tensor:
            return (num_entries - perplexities(mean).sum()) / num_entries

        return of_whole_mean(unused, logits.softmax(dim=2), self._workers)

    def _size(self, frames: Tensor, num_terms: int) -> Tensor:
        """Mean square of the front end's frames, over the whole batch."""
        squares = frames.float().square().flatten(0, 1)

        def mean(whole: Tensor, num_rows: Tensor) -> Tensor:
            return whole.mean()

        return of_whole_mean(mean, squares, self._workers, num_terms)

    def _measure(
        self, step: int, predictions: Tensor, scores: Tensor, logits: Tensor
    ) -> dict[str, float]:
        counts = self._workers.total(chosen_counts(logits))
        soft = self._workers.total(logits.softmax(dim=2).sum(dim=0))
        shares = [part / part.sum(dim=1, keepdim=True) for part in (counts, soft)]
        hard, probable = (float(perplexities(share).mean()) for share in shares)
        answers = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
        return {
            CODE_PERPLEXITY: hard,
            "codes/probability_perplexity": probable,
            "codes/temperature": self._temperature_at(step),
            PREDICTION_STD: mean_std(self._workers.gather(predictions)),
            "prediction/accuracy": share_right(scores, answers, self._workers),
            "prediction/chance_accuracy": 1.0 / scores.shape[1],
        }

    @torch.no_grad()
    def _describe(self, inputs: Padded, predictions: Tensor) -> dict[str, float]:
        gather = self._workers.gather
        described = {"prediction/effective_rank": effective_rank(gather(predictions))}
        local = self.encoder.local_features(inputs)
        if local is not None:
            described["student/local_effective_rank"] = effective_rank(gather(local))
        return described


def similarities(
    predictions: Float[Tensor, "masked width"],
    candidates: Float[Tensor, "masked width"],
    codes: Int[Tensor, "masked groups"],
    distractor_rows: Int[Tensor, "masked distractors"],
) -> Float[Tensor, "masked answers"]:
    """Cosine of each prediction with its own candidate, then with its distractors.

    A distractor that has the codes of the right answer is none: minus infinity (fairseq
    ``compute_preds``, ``neg_is_pos``, which compares vectors; rounding hides some).
    """
    wrong = candidates[distractor_rows]
    right = candidates.unsqueeze(1)
    answers = torch.cat((right, wrong), dim=1).float()
    cosines = F.cosine_similarity(predictions.float().unsqueeze(1), answers, dim=2)
    same = (codes[distractor_rows] == codes.unsqueeze(1)).all(dim=2)
    return cosines.masked_fill(F.pad(same, (1, 0)), -torch.inf)


def gumbel_temperature(
    step: int, *, start: float, end: float, anneal_steps: int
) -> float:
    """Geometric from ``start`` at the first update to ``end``, then constant."""
    if not anneal_steps:
        return end
    return float(start * (end / start) ** min(1.0, (step - 1) / anneal_steps))


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Contrastive:
    """Read quantiser, loss, mask and health."""
    config = trial.objective
    assert isinstance(config, ContrastiveObjective)
    assert isinstance(encoder, SpeechEncoder)
    if config.code_width % config.num_groups:
        message = f"must be divisible by objective.num_groups ({config.num_groups})"
        given = f"{message}, got {config.code_width}"
        raise ConfigError([Problem("objective.code_width", given)])
    anneal_steps = resolve_duration(config.anneal, trial.training.num_steps)
    return Contrastive(
        encoder=encoder,
        quantiser=GumbelQuantiser(
            dim=encoder.front_end.projection.in_features,
            num_groups=config.num_groups,
            num_codes=config.num_codes,
            code_width=config.code_width,
        ),
        width=config.width,
        masks=modality.masks(trial, encoder, workers),
        num_distractors=config.num_distractors,
        temperature_at=lambda step: gumbel_temperature(
            step,
            start=config.start_temperature,
            end=config.end_temperature,
            anneal_steps=anneal_steps,
        ),
        logit_temperature=config.logit_temperature,
        diversity_weight=config.diversity_weight,
        penalty_weight=config.penalty_weight,
        feature_gradient=config.feature_gradient,
        feature_dropout=config.feature_dropout,
        seed=trial.seed,
        min_code_perplexity=config.min_code_perplexity,
        min_prediction_std=trial.health.min_prediction_std,
        workers=workers,
    )
