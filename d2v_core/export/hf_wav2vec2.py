"""Speech encoders as Hugging Face ``Wav2Vec2Model`` folders.

Source: transformers 5.23 ``models/wav2vec2/modeling_wav2vec2.py``; names as in the
published ``facebook/wav2vec2-base``. It differs from Data2VecAudio in its positions:
one convolution with weight norm and GELU, no layer norm between the two. It also takes
a group norm in the convolutions, and pre-norm blocks (``do_stable_layer_norm``).

With a group norm Hugging Face counts padding in its statistics; ours leave it out, so
that rows of unequal lengths differ there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from d2v_core.encoders.speech import SpeechEncoder
from d2v_core.export.folder import CONFIG, write_json, write_weights
from d2v_core.export.hf_audio import (
    describe,
    describe_waveforms,
    front_end_reasons,
    to_hf,
)
from d2v_core.export.hf_class import HfClass, cannot_express
from d2v_core.frames import SAMPLE_RATE_HZ

NAME = "Wav2Vec2Model"
OURS, THEIRS = "encoder.pos_conv_embed.layers.0.conv.", "encoder.pos_conv_embed.conv."
DATA2VEC_ONLY = ("architectures", "model_type", "conv_pos_kernel_size")


def export_wav2vec2(
    encoder: SpeechEncoder,
    folder: Path,
    *,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    normalise: bool | None = None,
) -> None:
    """Write a folder for ``Wav2Vec2Model`` and ``AutoFeatureExtractor``, equal outputs.

    Args:
        encoder: wav2vec 2.0's convolutions and one plain positional convolution.
        folder: Made if needed; files of an earlier export are replaced.
        sample_rate_hz: Sample rate of the waveforms it reads.
        normalise: As for :func:`d2v_core.export.hf_audio.export_hf_audio`.

    Raises:
        ValueError: Hugging Face cannot express the encoder; every reason at once.
    """
    if reasons := against_wav2vec2(encoder):
        raise ValueError(cannot_express({NAME: reasons}))
    front_end: Any = encoder.front_end
    block: Any = encoder.transformer.blocks[0]
    positions: Any = encoder.positions.layers
    first_norm = front_end.extractor.conv_layers[0].layer_norm
    config = {
        "architectures": [NAME],
        "model_type": "wav2vec2",
        **{k: v for k, v in describe(encoder).items() if k not in DATA2VEC_ONLY},
        "feat_extract_norm": "layer"
        if isinstance(first_norm, nn.LayerNorm)
        else "group",
        "do_stable_layer_norm": block.norm_first,
        "num_conv_pos_embeddings": positions[0].kernel_size[0],
    }
    write_weights(folder, _named(encoder))
    write_json(folder / CONFIG, config)
    if normalise is not None:
        described = describe_waveforms(sample_rate_hz, normalise)
        write_json(folder / "preprocessor_config.json", described)


def against_wav2vec2(encoder: SpeechEncoder) -> list[str]:
    """What ``Wav2Vec2Model`` cannot compute."""
    reasons, count = front_end_reasons(encoder), len(encoder.positions.layers)
    if count != 1:
        message = f"it has {count} positional convolutions, it must have one"
        reasons.append(f"{message} (speech.position_layers: 1)")
    if encoder.positions.norm != "none":
        message = "a layer norm follows each of its positional convolutions, none must"
        reasons.append(f"{message} (speech.position_norm: none)")
    return reasons


def _named(encoder: SpeechEncoder) -> dict[str, Tensor]:
    """Weights by Hugging Face's names.

    Weight norm is over all but the kernel's axis: the weight is its own direction.
    """
    weights = {
        name.replace("transformer.norm.", "norm."): tensor  # pre-norm's closing one
        for name, tensor in encoder.state_dict().items()
    }
    named = to_hf(weights)
    direction = named.pop(f"{OURS}weight").detach()
    named[f"{THEIRS}bias"] = named.pop(f"{OURS}bias")
    named[f"{THEIRS}weight_v"] = direction
    named[f"{THEIRS}weight_g"] = torch.linalg.vector_norm(
        direction, dim=(0, 1), keepdim=True
    )
    return named


WAV2VEC2 = HfClass(NAME, against_wav2vec2, export_wav2vec2)
