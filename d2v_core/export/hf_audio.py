"""Speech encoders as Hugging Face ``Data2VecAudioModel`` folders, and back.

Source: transformers 5.23 ``models/data2vec/modeling_data2vec_audio.py`` and its
configuration. One thing differs and cannot be written into a folder: Hugging Face sets
padding to zero before the first positional convolution only, so that there, unlike
here, the last frames of a padded utterance depend on the padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from d2v_core.encoders.speech import SpeechEncoder
from d2v_core.encoders.wav2vec_front_end import Wav2Vec2FrontEnd
from d2v_core.export.folder import CONFIG, read_folder, write_json, write_weights
from d2v_core.export.hf_class import HfClass, cannot_express
from d2v_core.export.hf_config import differences
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.randomness import global_torch_seed

NAME = "Data2VecAudioModel"
PREFIX = "data2vec_audio."
"""Prefix of encoder weights in a folder that holds a recogniser or a classifier."""
MASK_TOKEN = "masked_spec_embed"
DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "feat_extract_activation": "gelu",
    "conv_dim": [512] * 7,
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_bias": False,
    "num_conv_pos_embedding_groups": 16,
    "conv_pos_kernel_size": 19,
    "num_conv_pos_embeddings": 5,
    "mask_time_prob": 0.05,
    "mask_feature_prob": 0.0,
    "add_adapter": False,
}
"""What the encoder depends on, with ``Data2VecAudioConfig``'s values."""
PART_NAMES = {
    "front_end.extractor.": "feature_extractor.",
    "front_end.norm.": "feature_projection.layer_norm.",
    "front_end.projection.": "feature_projection.projection.",
    "norm.": "encoder.layer_norm.",
    "mask_token": MASK_TOKEN,
}
BLOCK_NAMES = {
    "out": "attention.out_proj",
    "norm1": "layer_norm",
    "fc1": "feed_forward.intermediate_dense",
    "fc2": "feed_forward.output_dense",
    "norm2": "final_layer_norm",
}
POSITIONS = ("positions.layers.", "encoder.pos_conv_embed.layers.")


def export_hf_audio(
    encoder: SpeechEncoder,
    folder: Path,
    *,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    normalise: bool | None = None,
) -> None:
    """Write a folder for ``AutoModel`` and ``AutoFeatureExtractor``, equal outputs.

    Dropout is left at 0: it belongs to a training, not to the encoder. The share that
    Hugging Face masks in training is its default: at 0 the mask token had no place.

    Args:
        encoder: Post-norm blocks on wav2vec 2.0's convolutions with layer norms.
        folder: Made if needed; files of an earlier export are replaced.
        sample_rate_hz: Sample rate of the waveforms it reads.
        normalise: Whether they have zero mean and unit variance; None: no
            ``preprocessor_config.json`` is written.

    Raises:
        ValueError: Hugging Face cannot express the encoder; every reason at once.
    """
    if reasons := against_data2vec_audio(encoder):
        raise ValueError(cannot_express({NAME: reasons}))
    write_weights(folder, to_hf(encoder.state_dict()))
    write_json(folder / CONFIG, describe(encoder))
    if normalise is not None:
        described = describe_waveforms(sample_rate_hz, normalise)
        write_json(folder / "preprocessor_config.json", described)


def describe_waveforms(sample_rate_hz: int, normalise: bool) -> dict[str, Any]:
    """What :mod:`d2v_core.data` does to waveforms, for ``AutoFeatureExtractor``."""
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": sample_rate_hz,
        "do_normalize": normalise,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
    }


def against_data2vec_audio(encoder: SpeechEncoder) -> list[str]:
    """What ``Data2VecAudioModel`` cannot compute."""
    front_end: Any = encoder.front_end
    reasons = front_end_reasons(encoder)
    if not reasons and not all(
        isinstance(layer.layer_norm, nn.LayerNorm)
        for layer in front_end.extractor.conv_layers
    ):
        message = "its convolutions have a group norm, they must have layer norms"
        reasons.append(f"{message} (speech.front_end.norm: layer)")
    if encoder.positions.norm != "layer":
        message = "its positional convolutions have no layer norm, they must have one"
        reasons.append(f"{message} (speech.position_norm: layer)")
    block: Any = encoder.transformer.blocks[0]
    if block.norm_first:
        message = "its blocks are pre-norm, they must be post-norm"
        reasons.append(f"{message} (speech.norm: post)")
    return reasons


def front_end_reasons(encoder: SpeechEncoder) -> list[str]:
    """What no class for waveforms can compute."""
    if isinstance(encoder.front_end, Wav2Vec2FrontEnd):
        return []
    given = type(encoder.front_end).__name__
    message = f"its front end is a {given}, it must be wav2vec 2.0's"
    return [f"{message} (speech.front_end.kind: wav2vec2)"]


def describe(encoder: SpeechEncoder) -> dict[str, Any]:
    """The configuration."""
    front_end, block = encoder.front_end, encoder.transformer.blocks[0]
    assert isinstance(front_end, Wav2Vec2FrontEnd)
    convolutions: Any = list(front_end.extractor.conv_layers)
    positions: Any = encoder.positions.layers
    known: Any = block
    dropouts = ("hidden", "activation", "attention", "feat_proj")
    return {
        "architectures": [NAME],
        "model_type": "data2vec-audio",
        "dtype": str(encoder.mask_token.dtype).removeprefix("torch."),
        "hidden_size": encoder.dim,
        "num_hidden_layers": encoder.depth,
        "num_attention_heads": known.num_heads,
        "intermediate_size": known.fc1.out_features,
        "hidden_act": "gelu",
        "layer_norm_eps": known.norm1.eps,
        "feat_extract_activation": "gelu",
        "conv_dim": [layer.conv.out_channels for layer in convolutions],
        "conv_kernel": [length for length, _ in front_end.windows],
        "conv_stride": [step for _, step in front_end.windows],
        "conv_bias": convolutions[0].conv.bias is not None,
        "num_conv_pos_embeddings": len(positions),
        "conv_pos_kernel_size": positions[0].kernel_size[0],
        "num_conv_pos_embedding_groups": positions[0].groups,
        **{f"{name}_dropout": 0.0 for name in dropouts},
        "layerdrop": 0.0,
        "apply_spec_augment": True,
        "mask_time_prob": DEFAULTS["mask_time_prob"],
        "add_adapter": False,
    }


def load_hf_audio(folder: Path) -> SpeechEncoder:
    """The encoder of a Data2VecAudio folder, in evaluation mode.

    Heads are left out. Without masking in its configuration the model has no mask
    token; it is zero then.

    Args:
        folder: As ``save_pretrained`` writes it, or a download of a Hub repository.

    Raises:
        ValueError: The folder is incomplete, or holds another architecture.
    """
    given, weights = read_folder(folder)
    config = {name: given.get(name, value) for name, value in DEFAULTS.items()}
    required = {"model_type": "data2vec-audio", "add_adapter": False}
    required |= {"hidden_act": "gelu", "feat_extract_activation": "gelu"}
    for name, value in required.items():
        has = given.get(name, config.get(name))
        if has != value:
            raise ValueError(f"{folder / CONFIG}: {name} must be {value}, got {has}")
    with global_torch_seed(0, "encoder"):
        encoder = create_encoder(config)
    weights = _encoder_weights(weights)
    if not config["mask_time_prob"] and not config["mask_feature_prob"]:
        weights.setdefault(MASK_TOKEN, torch.zeros(encoder.dim))
    if problems := differences(weights, to_hf(encoder.state_dict())):
        raise ValueError(
            f"{folder}: the weights do not fit {CONFIG}: " + "; ".join(problems)
        )
    encoder.load_state_dict(from_hf(weights, encoder.depth))
    return encoder.eval()


def create_encoder(config: Mapping[str, Any]) -> SpeechEncoder:
    """The encoder that computes what Hugging Face's does with ``config``."""
    windows = zip(config["conv_kernel"], config["conv_stride"], strict=True)
    front_end = Wav2Vec2FrontEnd(
        dim=config["hidden_size"],
        channels=config["conv_dim"],
        windows=list(windows),
        bias=config["conv_bias"],
        eps=config["layer_norm_eps"],
    )
    return SpeechEncoder(
        front_end=front_end,
        dim=config["hidden_size"],
        depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        ffn_dim=config["intermediate_size"],
        position_layers=config["num_conv_pos_embeddings"],
        position_kernel=config["conv_pos_kernel_size"],
        position_groups=config["num_conv_pos_embedding_groups"],
        eps=config["layer_norm_eps"],
    )


def _encoder_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without heads."""
    inside = any(name.startswith(PREFIX) for name in weights)
    return {
        name.removeprefix(PREFIX): tensor
        for name, tensor in weights.items()
        if name.startswith(PREFIX) or not inside
    }


def to_hf(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a :class:`SpeechEncoder` by Hugging Face's names."""
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.startswith("transformer.blocks."):
            named |= _block_to_hf(name.removeprefix("transformer.blocks."), tensor)
        elif name.startswith(POSITIONS[0]):
            number, kind = name.removeprefix(POSITIONS[0]).split(".")
            named[f"{POSITIONS[1]}{number}.conv.{kind}"] = tensor
        else:
            ours = next(part for part in PART_NAMES if name.startswith(part))
            named[PART_NAMES[ours] + name.removeprefix(ours)] = tensor
    return named


def _block_to_hf(name: str, tensor: Tensor) -> dict[str, Tensor]:
    number, part, kind = name.split(".")
    layer = f"encoder.layers.{number}"
    if part != "qkv":
        return {f"{layer}.{BLOCK_NAMES[part]}.{kind}": tensor}
    thirds = zip("qkv", tensor.chunk(3), strict=True)
    return {f"{layer}.attention.{role}_proj.{kind}": third for role, third in thirds}


def from_hf(weights: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """The inverse of :func:`to_hf`."""
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.startswith(POSITIONS[1]):
            number, _, kind = name.removeprefix(POSITIONS[1]).split(".")
            named[f"{POSITIONS[0]}{number}.{kind}"] = tensor
        elif not name.startswith("encoder.layers."):
            ours, theirs = next(
                pair for pair in PART_NAMES.items() if name.startswith(pair[1])
            )
            named[ours + name.removeprefix(theirs)] = tensor
    for i in range(depth):
        layer, block = f"encoder.layers.{i}", f"transformer.blocks.{i}"
        for kind in ("weight", "bias"):
            thirds = [
                weights[f"{layer}.attention.{role}_proj.{kind}"] for role in "qkv"
            ]
            named[f"{block}.qkv.{kind}"] = torch.cat(thirds)
            for ours, theirs in BLOCK_NAMES.items():
                named[f"{block}.{ours}.{kind}"] = weights[f"{layer}.{theirs}.{kind}"]
    return named


DATA2VEC_AUDIO = HfClass(NAME, against_data2vec_audio, export_hf_audio)
