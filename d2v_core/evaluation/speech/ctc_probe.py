"""Linear CTC layers on frozen frames: all learning rates and draws trained together."""

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
        weight: Weights of the standardised channels.
        bias: Biases of the classes.
        mean: Mean of the training frames.
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
    draws: Sequence[np.ndarray],
    config: CtcProbeConfig,
    *,
    num_classes: int,
    seed: int,
) -> list[list[CtcProbe]]:
    """Layers of each draw in ascending order of their learning rates.

    All start at zero. Each is as if trained alone: they share only the work.

    Args:
        frames: Frames of each labelled utterance.
        labels: Its characters.
        draws: Utterances that each draw is fitted on; as many in each.
        config: Length, rates and batch size.
        num_classes: With the blank.
        seed: Seed of the order of a draw's utterances.
    """
    rates = sorted(config.learning_rates)
    mean, deviation = _standardisation(frames, draws)
    shape = (len(draws), frames[0].shape[1], num_classes)
    weights = [nn.Parameter(mean.new_zeros(shape)) for _ in rates]
    biases = [nn.Parameter(mean.new_zeros(len(draws), 1, num_classes)) for _ in rates]
    groups = [{"params": [w, b]} for w, b in zip(weights, biases, strict=True)]
    optimizer = torch.optim.Adam(groups, lr=rates[0])
    for step in range(config.num_steps):
        falling = 0.5 * (1.0 + math.cos(math.pi * step / config.num_steps))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * falling
        places = _drawn(len(draws[0]), config.batch_size, seed, step)
        indices = np.concatenate([draw[places] for draw in draws])
        padded = pad_sequence([frames[i] for i in indices], batch_first=True)
        by_draw = padded.view(len(draws), -1, padded.shape[2])
        scaled = (by_draw - mean) / deviation
        logits = torch.baddbmm(_side_by_side(biases), scaled, _side_by_side(weights))
        logits = logits.view(*padded.shape[:2], -1)
        loss = _mean_loss(logits, frames, labels, indices, len(rates))
        # The sum over the layers of their mean losses.
        torch.autograd.backward(len(rates) * len(draws) * loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return [
        [
            CtcProbe(rate, w[r].detach(), b[r, 0].detach(), mean[r, 0], deviation[r, 0])
            for rate, w, b in zip(rates, weights, biases, strict=True)
        ]
        for r in range(len(draws))
    ]


def _side_by_side(layers: Sequence[Tensor]) -> Tensor:
    """All layers of a draw as one."""
    return torch.cat(list(layers), dim=2)


def _standardisation(
    frames: Sequence[Float[Tensor, "_ dim"]], draws: Sequence[np.ndarray]
) -> tuple[Float[Tensor, "draws 1 dim"], Float[Tensor, "draws 1 dim"]]:
    """Mean and deviation of the channels over the frames of each draw."""
    means, deviations = [], []
    for draw in draws:
        everything = torch.cat([frames[i] for i in draw])
        means.append(everything.mean(dim=0, keepdim=True))
        deviation = everything.std(dim=0, keepdim=True)
        deviations.append(deviation.clamp_min(MIN_DEVIATION))
    return torch.stack(means), torch.stack(deviations)


def _drawn(size: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    wanted = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, places = wanted // size, wanted % size
    drawn: np.ndarray = np.concatenate(
        [shuffled(seed, int(e), size)[places[epochs == e]] for e in np.unique(epochs)]
    )
    return drawn


def _mean_loss(
    logits: Float[Tensor, "batch frames layers_times_classes"],
    frames: Sequence[Tensor],
    labels: Padded,
    indices: np.ndarray,
    num_layers: int,
) -> Tensor:
    """Mean over utterances and layers, in one call."""
    by_layer = torch.cat(logits.chunk(num_layers, dim=2))
    lengths = tuple(len(frames[i]) for i in indices) * num_layers
    chosen = labels.values[torch.from_numpy(indices)].to(logits.device)
    repeated = Padded(
        chosen.repeat(num_layers, 1),
        tuple(labels.lengths[i] for i in indices) * num_layers,
    )
    return ctc_loss(by_layer, lengths, repeated)
