"""Masked language model: BERT's loss, trained as RoBERTa is.

BERT (arXiv 1810.04805 section 3.1) and RoBERTa (arXiv 1907.11692 section 4.1: masks
drawn anew for every update); fairseq ``models/roberta/model.py`` ``RobertaLMHead``:
linear, GELU, layer norm, then the token embedding itself as output matrix, with a bias
for each token. Parity of loss and gradients with Hugging Face's ``RobertaForMaskedLM``
is tested. The data2vec paper's "Baseline" of Table 4 is this objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.objective import HeadInit
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import Inputs
from d2v_core.encoders.text import TextEncoder
from d2v_core.encoders.token_inputs import TokenRows
from d2v_core.masks.masked import MaskSampler
from d2v_core.objectives.parts.guesses import PREDICTION_STD, share_right
from d2v_core.objectives.parts.heads import draw_linear
from d2v_core.objectives.parts.places import at_positions
from d2v_core.objectives.protocol import Draw, SingleNetwork, StepResult
from d2v_core.randomness import numpy_generator
from d2v_core.training.health import mean_std
from d2v_core.training.parallel import ALONE, Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality


@dataclass(frozen=True)
class TokensDraw(Draw):
    """What is read and predicted in one update.

    Attributes:
        mask: Positions where ``<mask>`` is read.
        positions: Flat places of all predicted tokens: those of the mask, and those
            that show a random or their own token.
        read: What is read instead of the batch; None: the batch.
    """

    mask: Bool[Tensor, "batch tokens"]
    positions: Int[Tensor, " selected"]
    read: Inputs | None


class LanguageHead(nn.Module):
    """Tokens to what is compared with the embedding of every token.

    Args:
        dim: Channels.
        vocab_size: Tokens.
        init: How the linear layer is drawn.
        eps: Epsilon of the norm.
    """

    def __init__(
        self, *, dim: int, vocab_size: int, init: HeadInit, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(dim, dim), nn.LayerNorm(dim, eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        draw_linear(self.dense, init)

    def forward(
        self, tokens: Float[Tensor, "selected dim"]
    ) -> Float[Tensor, "selected dim"]:
        """Transformed tokens."""
        transformed: Tensor = self.norm(F.gelu(self.dense(tokens)))
        return transformed


class MaskedTokens(SingleNetwork):
    """Encoder and language head; the output matrix is the token embedding.

    Args:
        encoder: Text encoder.
        head: Its head.
        masks: Draws what is hidden of a batch.
        seed: Seed of the masks.
        min_prediction_std: Transformed tokens of a smaller spread are dead.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: TextEncoder,
        head: LanguageHead,
        masks: MaskSampler,
        seed: int = 0,
        min_prediction_std: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        self.encoder: Encoder = encoder
        self._embedding, self._head = encoder.tokens, head
        self.module = nn.ModuleDict({"encoder": encoder, "head": head})
        self._masks, self._seed, self._workers = masks, seed, workers
        self._least = {PREDICTION_STD: min_prediction_std}

    def draw(self, inputs: Inputs, step: int) -> TokensDraw:
        """One mask per row, the same stream as data2vec's."""
        drawn = self._masks(inputs, numpy_generator(self._seed, "mask", step))
        selected = drawn.mask if drawn.selected is None else drawn.selected
        return TokensDraw(
            mask=drawn.mask,
            positions=selected.flatten().nonzero().squeeze(1),
            read=drawn.read,
        )

    def loss(
        self, inputs: Inputs, labels: Any, draw: TokensDraw, step: int
    ) -> StepResult:
        """Cross-entropy of the original tokens; labels are unused."""
        assert isinstance(inputs, TokenRows)
        read = inputs if draw.read is None else draw.read
        tokens = self.encoder(read, draw.mask)
        hidden = self._head(at_positions(tokens, draw.positions))
        logits = F.linear(hidden, self._embedding.weight, self._head.bias).float()
        answers = inputs.values.flatten().index_select(0, draw.positions)
        return StepResult(
            loss=F.cross_entropy(logits, answers),
            measure=lambda: self._measure(hidden.detach(), logits.detach(), answers),
            num_terms=len(draw.positions),
        )

    def _measure(
        self, hidden: Tensor, logits: Tensor, answers: Tensor
    ) -> dict[str, float]:
        counts = answers.bincount(minlength=logits.shape[1]).float()
        counts = self._workers.total(counts)
        return {
            PREDICTION_STD: mean_std(self._workers.gather(hidden)),
            "prediction/accuracy": share_right(logits, answers, self._workers),
            # That of the most frequent token: what a dead network would reach.
            "prediction/chance_accuracy": float(counts.max() / counts.sum()),
        }


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> MaskedTokens:
    """Read mask and health."""
    assert isinstance(encoder, TextEncoder)
    return MaskedTokens(
        encoder=encoder,
        head=LanguageHead(
            dim=encoder.dim,
            vocab_size=encoder.vocab_size,
            init=trial.reference_head,
            eps=encoder.norm.eps,
        ),
        masks=modality.masks(trial, encoder, workers),
        seed=trial.seed,
        min_prediction_std=trial.health.min_prediction_std,
        workers=workers,
    )
