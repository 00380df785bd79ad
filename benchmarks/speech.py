"""Speech's contenders: torchaudio's convolutions once, ours, Hugging Face's model."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.contenders import (
    FLOOR,
    Step,
    drawn_masks,
    floor_step,
    our_step,
    step_by_hand,
    where_installed,
)
from d2v_core.build import build_encoder, build_objective
from d2v_core.config import parse_trial
from d2v_core.config import speech as config
from d2v_core.config.speech import SpeechTrial
from d2v_core.encoders.encoder import Tokens
from d2v_core.encoders.inputs import Padded
from d2v_core.encoders.speech import SpeechEncoder
from d2v_core.encoders.wav2vec_front_end import Wav2Vec2FrontEnd

SIZES = {"toy": 16, "128-channels": 128, "512-channels": 512}
"""Channels of the convolutions."""
BATCH_SIZES = {"toy": 2, "128-channels": 8, "512-channels": 8}
SECONDS = 2
WIDTHS = {"toy": (32, 2, 2)}
"""Width, depth and heads; else the following."""
WIDTH = (256, 6, 4)


def batch(size: str) -> Padded:
    """Noise."""
    num_samples = SECONDS * 16_000
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(BATCH_SIZES[size], num_samples, generator=generator)
    return Padded(values, (num_samples,) * len(values))


def contenders(trial: SpeechTrial, waves: Padded) -> dict[str, Step]:
    """All steps by name, the floor first; Hugging Face's where it is installed."""
    return {
        FLOOR: plain_step(trial, waves),
        "d2v, torchaudio's convolutions": d2v_step(trial, waves, torchaudio=True),
        "d2v": d2v_step(trial, waves),
        **where_installed(lambda: hugging_face_step(trial, waves)),
    }


def build_trial(size: str, layer_norm: str) -> SpeechTrial:
    """The released recipe (FFN outputs, shared front end) without dropout."""
    width, depth, num_heads = WIDTHS.get(size, WIDTH)
    none = ("dropout", "attention_dropout", "layerdrop")
    trial = parse_trial(
        {
            "modality": "speech",
            "speech": {
                "front_end": {"kind": "wav2vec2", "channels": SIZES[size]},
                "width": width,
                "depth": depth,
                "num_heads": num_heads,
                **dict.fromkeys(none, 0.0),
            },
            "target": {
                "top_k": min(4, depth),
                "feature": "ffn",
                "layer_norm": layer_norm,
                "final_norm": "none",
            },
            "teacher": {"shares": ["feature_encoder", "positions"]},
            "loss": {"kind": "l2", "scale": "inverse_sqrt_dim"},
            "training": {"batch_size": BATCH_SIZES[size]},
        }
    )
    assert isinstance(trial, SpeechTrial)
    return trial


def plain_step(trial: SpeechTrial, waves: Padded) -> Step:
    """The convolutions once by torchaudio, our blocks twice, backward, fused AdamW."""
    student = build_encoder(trial).train()
    assert isinstance(student, SpeechEncoder)
    teacher = copy.deepcopy(student).requires_grad_(False).eval()

    def forward() -> Tensor:
        features = torchaudio_features(student, waves)
        with torch.no_grad():
            teacher.encode(features.detach())
        return student.encode(features).tokens

    student.mask_token.requires_grad_(False)
    return floor_step(student, forward)


def torchaudio_features(encoder: SpeechEncoder, waves: Padded) -> Tokens:
    """The front end's frames by torchaudio's own forward pass."""
    front_end = encoder.front_end
    assert isinstance(front_end, Wav2Vec2FrontEnd)
    frames, _ = front_end.extractor(waves.values, None)
    return Tokens(front_end.project(frames), encoder.real(waves))


def d2v_step(trial: SpeechTrial, waves: Padded, *, torchaudio: bool = False) -> Step:
    """Ours.

    Args:
        trial: What to train.
        waves: The batch.
        torchaudio: With torchaudio's forward pass of the convolutions.
    """
    objective = build_objective(trial, num_classes=2)
    if torchaudio:
        student: Any = objective.network("student")
        student.embed = lambda inputs: torchaudio_features(student, inputs)
    return our_step(trial, objective, waves)


def hugging_face_step(trial: SpeechTrial, waves: Padded) -> Step:
    """data2vec as one writes it around Hugging Face's model, with the same masks.

    Raises:
        ImportError: transformers is not installed.
    """
    from transformers import Data2VecAudioConfig, Data2VecAudioModel

    speech, options, front_end = trial.speech, trial.target, trial.speech.front_end
    assert isinstance(front_end, config.Wav2Vec2FrontEnd)
    none = ("hidden", "attention", "activation")
    sizes = Data2VecAudioConfig(
        hidden_size=speech.width,
        num_hidden_layers=speech.depth,
        num_attention_heads=speech.num_heads,
        intermediate_size=round(speech.width * speech.mlp_ratio),
        conv_dim=[front_end.channels] * len(front_end.layers),
        layerdrop=0.0,
        attn_implementation="sdpa",
        **{f"{name}_dropout": 0.0 for name in none},
    )
    student = Data2VecAudioModel(sizes).train()
    teacher = copy.deepcopy(student).requires_grad_(False).eval()
    head = nn.Linear(speech.width, speech.width)
    objective = build_objective(trial, num_classes=2)
    seen: list[Tensor] = []
    for layer in teacher.encoder.layers[-options.top_k :]:
        dense = layer.feed_forward.output_dense
        dense.register_forward_hook(lambda module, args, out: seen.append(out))

    def targets() -> Tensor:
        seen.clear()
        teacher(waves.values)
        if options.layer_norm == "instance":
            layers = [F.instance_norm(x.transpose(1, 2)).mT for x in seen]
        else:
            layers = [F.layer_norm(x, x.shape[-1:]) for x in seen]
        return torch.stack(layers).mean(0)

    def loss_at(step: int) -> Tensor:
        mask = drawn_masks(objective, waves, step).mask
        with torch.no_grad():
            wanted = targets()[mask]
        tokens = student(waves.values, mask_time_indices=mask).last_hidden_state
        return F.mse_loss(head(tokens[mask]), wanted) * speech.width**0.5

    return step_by_hand(student, teacher, head, loss_at)
