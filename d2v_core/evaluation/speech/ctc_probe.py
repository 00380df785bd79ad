"""A linear CTC layer on frozen frames, one for each learning rate, trained together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from d2v_core.config.speech_data import CtcProbeConfig
from d2v_core.data.vision.batches import shuffled
from d2v_core.encoders.inputs import Padded
from d2v_core.evaluation.speech.ctc import ctc_loss

MIN_DEVIATION = 1e-4
"""Channels that vary less are left nearly as they are."""


@dataclass(frozen=True)
class CtcProbe:
    """A layer with its own standardisation.

    Attributes:
        learning_rate: It was trained with.
        weight: Of the standardised channels.
        bias: Of the classes.
        mean: Of the training frames.
        deviation: Likewise.
    """

    learning_rate: float
    weight: Float[Tensor, "dim classes"]
    bias: Float[Tensor, " classes"]
    mean: Float[Tensor, " dim"]
    deviation: Float[Tensor, " dim"]

    def log_probs(self, frames: Float[Tensor, "frames dim"]) -> np.ndarray:
        """Log-probabilities of the classes, float64 of shape (frames, classes)."""
        logits = (frames - self.mean) / self.deviation @ self.weight + self.bias
        log_probs: np.ndarray = logits.double().log_softmax(dim=1).cpu().numpy()
        return log_probs


def fit_ctc_probes(
    frames: Sequence[Float[Tensor, "_ dim"]],
    labels: Padded,
    config: CtcProbeConfig,
    *,
    num_classes: int,
    seed: int,
) -> list[CtcProbe]:
    """Layers in ascending order of their learning rates, all starting at zero.

    Args:
        frames: Of each labelled utterance.
        labels: Its characters.
        config: Length, rates and batch size.
        num_classes: With the blank.
        seed: Of the order of the utterances.
    """
    rates = sorted(config.learning_rates)
    everything = torch.cat(list(frames))
    mean = everything.mean(dim=0)
    deviation = everything.std(dim=0).clamp_min(MIN_DEVIATION)
    scaled = [(rows - mean) / deviation for rows in frames]
    shape = (everything.shape[1], num_classes)
    weights = [nn.Parameter(mean.new_zeros(shape)) for _ in rates]
    biases = [nn.Parameter(mean.new_zeros(num_classes)) for _ in rates]
    groups = [{"params": [w, b]} for w, b in zip(weights, biases, strict=True)]
    optimizer = torch.optim.Adam(groups, lr=rates[0])
    for step in range(config.num_steps):
        falling = 0.5 * (1.0 + math.cos(math.pi * step / config.num_steps))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * falling
        indices = _drawn(len(frames), config.batch_size, seed, step)
        loss = _loss(scaled, labels, indices, weights, biases)
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return [
        CtcProbe(rate, weight.detach(), bias.detach(), mean, deviation)
        for rate, weight, bias in zip(rates, weights, biases, strict=True)
    ]


def _drawn(size: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    wanted = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, places = wanted // size, wanted % size
    drawn: np.ndarray = np.concatenate(
        [shuffled(seed, int(e), size)[places[epochs == e]] for e in np.unique(epochs)]
    )
    return drawn


def _loss(
    frames: Sequence[Tensor],
    labels: Padded,
    indices: np.ndarray,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
) -> Tensor:
    """Sum over the layers of their mean losses, in one call."""
    rows = [frames[i] for i in indices]
    padded = pad_sequence(rows, batch_first=True)
    logits = padded @ torch.cat(list(weights), dim=1) + torch.cat(list(biases))
    by_layer = torch.cat(logits.chunk(len(weights), dim=2))
    lengths = tuple(len(row) for row in rows) * len(weights)
    chosen = labels.values[torch.from_numpy(indices)].to(padded.device)
    repeated = Padded(
        chosen.repeat(len(weights), 1),
        tuple(labels.lengths[i] for i in indices) * len(weights),
    )
    return len(weights) * ctc_loss(by_layer, lengths, repeated)
