"""Utterances through an encoder, each in the shortest batch that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from d2v_core.config.speech_data import WaveformConfig
from d2v_core.data.speech.dataset import pad_waves, prepared
from d2v_core.data.speech.utterances import Utterances
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import Padded
from d2v_core.evaluation.features import frozen_tokens
from d2v_core.evaluation.speech.ctc import num_real
from d2v_core.frames import SAMPLE_RATE_HZ

BATCH_SAMPLES = 200 * SAMPLE_RATE_HZ
"""Samples of a batch, padding counted; a longer utterance is a batch of its own."""
MAX_BATCH = 64

FrameMap = Callable[[Tensor], Tensor]
"""From (batch, frames, dim) to (batch, frames, channels)."""


@torch.no_grad()
def encode_frames(
    encoder: Encoder,
    split: Utterances,
    waveform: WaveformConfig,
    then: FrameMap | None = None,
    num_layers: int = 1,
) -> list[Float[Tensor, "_ channels"]]:
    """Real frames of every whole utterance, in order, float32 on the encoder's device.

    The encoder runs in evaluation mode, without masks and without crops.

    Args:
        encoder: Waveforms to frames.
        split: The utterances.
        waveform: Says whether they are normalised.
        then: What is made of the frames; None: nothing.
        num_layers: Blocks that frames are the mean of; 1: the final output.
    """
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    rows: dict[int, Tensor] = {}
    for indices, inputs in _batches(split, waveform):
        moved = inputs.to(device)
        tokens = frozen_tokens(encoder, moved, num_layers=num_layers)
        counts = num_real(tokens, encoder.real(moved)).tolist()
        made = (tokens if then is None else then(tokens)).float()
        for i, row, count in zip(indices, made, counts, strict=True):
            rows[int(i)] = row[:count].clone()
    encoder.train(was_training)
    return [rows[i] for i in range(len(split))]


def _batches(
    split: Utterances, waveform: WaveformConfig
) -> Iterator[tuple[np.ndarray, Padded]]:
    lengths = split.audio.lengths
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        end = start + 1
        while (
            end < min(len(order), start + MAX_BATCH)
            and (end + 1 - start) * lengths[order[end]] <= BATCH_SAMPLES
        ):
            end += 1
        indices = order[start:end]
        waves = [prepared(split.audio.read(int(i)), waveform) for i in indices]
        yield indices, pad_waves(waves)
        start = end
