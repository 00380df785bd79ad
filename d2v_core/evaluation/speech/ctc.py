"""Connectionist temporal classification of frames as characters.

Graves et al. 2006; class 0 is the blank. The supervised arm, the layer on frozen
features and fine-tuning share the loss.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.encoders.inputs import Padded
from d2v_core.objectives.parts.criteria import Criterion


def ctc_loss(
    logits: Float[Tensor, "batch frames classes"],
    frame_lengths: Tensor | tuple[int, ...],
    labels: Padded,
) -> Float[Tensor, ""]:
    """Mean over utterances of the negative log-likelihood, in float32.

    fairseq's ``sentence_avg`` and ``zero_infinity``: an utterance with fewer frames
    than its characters need adds 0.

    Args:
        logits: Logits of every frame.
        frame_lengths: Real frames of each utterance.
        labels: Characters of each utterance.
    """
    log_probs = logits.float().log_softmax(dim=2).transpose(0, 1)
    total = F.ctc_loss(
        log_probs,
        labels.values,
        torch.as_tensor(frame_lengths),
        torch.tensor(labels.lengths),
        reduction="sum",
        zero_infinity=True,
    )
    return total / len(labels)


def num_real(
    tokens: Float[Tensor, "batch frames dim"], real: Bool[Tensor, "batch frames"] | None
) -> Tensor:
    """Real frames of each utterance, on the CPU."""
    if real is None:
        return torch.full((len(tokens),), tokens.shape[1])
    return real.sum(dim=1).cpu()


def ctc_criterion() -> Criterion:
    """Loss of the supervised arm, whose labels are characters."""

    def criterion(
        classifier: nn.Module, tokens: Tensor, real: Tensor | None, labels: Padded
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss = ctc_loss(classifier(tokens), num_real(tokens, real), labels)
        characters = sum(labels.lengths)
        parts = torch.stack((len(labels) * loss.detach(), loss.new_tensor(characters)))
        return loss, {"train/loss_per_character": parts}

    return criterion
