"""The smallest speech trial, data and encoder that still have every part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from d2v_core.config import parse_trial
from d2v_core.config.speech import SpeechTrial
from d2v_core.data.speech.utterances import (
    ArrayAudio,
    SpeechDataset,
    Utterances,
    ctc_classes,
)
from d2v_core.encoders.inputs import Padded
from tests.d2v_core.small import merged

SMALL_SPEECH: dict[str, Any] = {
    "modality": "speech",
    "seed": 3,
    "speech": {
        "front_end": {
            "kind": "wav2vec2",
            "channels": 12,
            "layers": [[10, 5], [3, 2], [2, 2]],
        },
        "width": 16,
        "depth": 3,
        "num_heads": 2,
        "mlp_ratio": 2.0,
        "position_layers": 2,
        "position_kernel": 5,
        "position_groups": 4,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "layerdrop": 0.0,
    },
    "mask": {"kind": "span", "span": 4},
    "waveform": {"max_seconds": 0.05, "min_seconds": 0.0},
    "target": {
        "top_k": 2,
        "feature": "ffn",
        "layer_norm": "instance",
        "final_norm": "none",
    },
    "teacher": {
        "tau": {"kind": "linear", "start": 0.5, "end": 0.99, "anneal": 0.9},
        "shares": ["feature_encoder", "positions"],
    },
    "loss": {"kind": "l2", "scale": "inverse_sqrt_dim"},
    "optimizer": {"learning_rate": 1e-2, "warmup": 0.2},
    "training": {"num_steps": 6, "batch_size": 4},
    "health": {
        "min_target_std": 0.0,
        "min_prediction_std": 0.0,
        "after": 0,
        "check_every": 1,
    },
    "data": {"source": "spoken_digits"},
    "evaluation": {
        "ctc_probe": {"num_steps": 2, "batch_size": 4, "learning_rates": [1e-2]},
        "beam_width": 2,
    },
    "execution": {"device": "cpu", "log_every": 1, "checkpoint_every_seconds": 1e-9},
}

SPEECH_RANDOM: dict[str, Any] = {
    "speech": {
        "input_dropout": 0.1,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.1,
        "layerdrop": 0.3,
        "drop_path": 0.3,
    }
}

LOG_MEL: dict[str, Any] = {
    "speech": {"front_end": {"kind": "log_mel", "num_mels": 8}},
    "waveform": {"max_seconds": 0.5},
}

PATCHES: dict[str, Any] = {
    "speech": {"front_end": {"kind": "patches", "patch_samples": 80}},
    "waveform": {"max_seconds": 0.1},
}


def small_speech_trial(*changes: Mapping[str, Any]) -> SpeechTrial:
    data: dict[str, Any] = SMALL_SPEECH
    for change in changes:
        data = merged(data, change)
    trial = parse_trial(data)
    assert isinstance(trial, SpeechTrial)
    return trial


def noise(lengths: Sequence[int], *, seed: int = 0, padding: float = 0.0) -> Padded:
    """Unit-variance waveforms; ``padding`` stands after each."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(len(lengths), max(lengths), generator=generator)
    for row, length in zip(values, lengths, strict=True):
        row[length:] = padding
    return Padded(values, tuple(lengths))


def small_speech_split(num: int, *, seed: int) -> Utterances:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(900, 2_000, num)
    samples = generator.normal(0.0, 0.1, lengths.sum()).astype(np.float32)
    texts = tuple(("one", "two", "one two")[i % 3] for i in range(num))
    return Utterances(ArrayAudio(samples, lengths), texts, {})


def small_speech_dataset() -> SpeechDataset:
    train = small_speech_split(12, seed=0)
    return SpeechDataset(
        name="noise",
        digest="0" * 16,
        classes=ctc_classes(train.texts),
        pretrain=train,
        train=train,
        valid=small_speech_split(6, seed=1),
        test=small_speech_split(6, seed=2),
    )
