"""Fine-tuning the speech encoder with a linear CTC layer.

fairseq ``wav2vec2_asr.py`` with ``examples/wav2vec/config/finetuning/base_*.yaml``:
frames and channels are masked while the encoder learns, the convolutions stay as
pre-trained. Departures: channels are set to zero before the mask token is put in, not
after; every batch has as many utterances, not as many samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from d2v_core.config.speech_data import SpeechFineTuning, WaveformConfig
from d2v_core.data.speech.dataset import SpeechBatches
from d2v_core.data.speech.utterances import SpeechDataset
from d2v_core.encoders.encoder import Encoder, Tokens
from d2v_core.evaluation.fine_tuning import FineTuned, Score, fine_tune_best
from d2v_core.evaluation.speech.ctc import ctc_loss, num_real
from d2v_core.masks.spans import span_masks
from d2v_core.randomness import numpy_generator

CONVOLUTIONS = "front_end.extractor."
"""Names of the parameters that ``freeze_features`` is about."""


def fine_tune_ctc(
    encoder: Encoder,
    dataset: SpeechDataset,
    config: SpeechFineTuning,
    waveform: WaveformConfig,
    score: Score,
    *,
    seed: int,
) -> FineTuned:
    """The encoder and CTC layer of the best learning rate.

    Args:
        encoder: Left as it is.
        dataset: Its training split is what is learned.
        config: Length, rates, masks.
        waveform: Says whether utterances are normalised.
        score: Score of the validation split; higher is better.
        seed: Seed of the layer's weights, order, masks and dropout.
    """
    batches = SpeechBatches(
        dataset=dataset,
        batch_size=config.batch_size,
        seed=seed,
        waveform=waveform,
        cropped=False,
    )

    def build(network: Encoder) -> tuple[nn.Module, Callable[[int], Tensor]]:
        if config.freeze_features:
            for name, parameter in network.named_parameters():
                if name.startswith(CONVOLUTIONS):
                    parameter.requires_grad_(False)
        head = nn.Linear(network.dim, len(dataset.classes))
        device = next(network.parameters()).device

        def loss_of(step: int) -> Tensor:
            inputs, labels = (part.to(device) for part in batches(step))
            features = network.embed(inputs)
            masked = mask_channels(features, config, seed=seed, step=step)
            frames = num_real(features.values, features.real)
            mask = draw_time_mask(tuple(frames.tolist()), config, seed=seed, step=step)
            mask = None if mask is None else mask.to(device)
            tokens = network.encode(masked, mask).tokens
            return ctc_loss(head(tokens), frames, labels)

        return head, loss_of

    return fine_tune_best(encoder, build, score, config, seed=seed)


def mask_channels(
    features: Tokens, config: SpeechFineTuning, *, seed: int, step: int
) -> Tokens:
    """Spans of channels set to zero, other ones in each utterance."""
    if not config.channel_mask:
        return features
    dim = features.values.shape[2]
    mask = span_masks(
        [dim] * len(features.values),
        numpy_generator(seed, "fine-tuning channel mask", step),
        probability=config.channel_mask,
        span=config.channel_mask_length,
        whole_spans=True,
        same_count=True,
    )
    hidden = torch.from_numpy(mask).to(features.values.device)[:, None]
    return replace(features, values=features.values.masked_fill(hidden, 0.0))


def draw_time_mask(
    frames: tuple[int, ...], config: SpeechFineTuning, *, seed: int, step: int
) -> Tensor | None:
    """Frames that are hidden, (batch, frames); None: none are."""
    if not config.time_mask or min(frames) < 2:
        return None
    mask = span_masks(
        frames,
        numpy_generator(seed, "fine-tuning time mask", step),
        probability=config.time_mask,
        span=config.time_mask_length,
        whole_spans=True,
        same_count=True,
    )
    return torch.from_numpy(mask)
