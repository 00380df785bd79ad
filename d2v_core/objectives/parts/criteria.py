"""Losses of a classifier on an encoder's tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.encoders.inputs import mean_over_real

Criterion = Callable[
    [nn.Module, Tensor, Tensor | None, Any], tuple[Tensor, dict[str, Tensor]]
]
"""From classifier, tokens (batch, tokens, dim), which are real, and labels to the loss,
a mean over samples, and to metrics as numerator and denominator, (2,)."""


def pooled_cross_entropy(label_smoothing: float) -> Criterion:
    """Cross-entropy of the mean of the real tokens; labels are class indices."""

    def criterion(
        classifier: nn.Module, tokens: Tensor, real: Tensor | None, labels: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = classifier(mean_over_real(tokens, real))
        loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        correct = (logits.detach().argmax(1) == labels).float()
        count = torch.ones_like(correct)
        return loss, {"train/accuracy": torch.stack((correct, count)).sum(dim=1)}

    return criterion
