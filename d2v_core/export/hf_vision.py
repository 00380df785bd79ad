"""Vision encoders as Hugging Face ``Data2VecVisionModel`` folders, and back.

transformers is not needed: the names are written down in
:mod:`d2v_core.export.beit_names`, the configuration in
:mod:`d2v_core.export.hf_config`. Departure from the published
``facebook/data2vec-vision-base``: the mask token is kept (``use_mask_token``) and
``layer_norm_eps`` is the encoder's own; the Hub's 1e-12 is not what was trained with
(``data2vec_vision`` at af9a3634, ``modeling_cyclical.py:223``: 1e-6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from d2v_core.encoders.images import ImageEncoder
from d2v_core.encoders.timm_vision import VisionEncoder
from d2v_core.export.beit_names import as_beit, from_hf, to_hf
from d2v_core.export.folder import CONFIG, read_folder, write_json, write_weights
from d2v_core.export.hf_class import OWN_ENCODER, HfClass, cannot_express
from d2v_core.export.hf_config import (
    DEFAULTS,
    create_beit,
    describe,
    describe_preprocessing,
    differences,
    differently_computed,
    differently_shaped,
    one_side,
)
from d2v_core.randomness import global_torch_seed

NAME = "Data2VecVisionModel"
MASK_TOKEN = "embeddings.mask_token"
PREFIX = "data2vec_vision."
"""Prefix of encoder weights in a folder that holds a classifier or segmenter."""


def export_hf(
    encoder: ImageEncoder,
    folder: Path,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> None:
    """Write a folder for ``Data2VecVisionModel.from_pretrained`` with equal outputs.

    Dropout and stochastic depth are left at 0: they belong to a training, not to the
    encoder.

    Args:
        encoder: Any encoder that Hugging Face's architecture can express.
        folder: Made if needed; files of an earlier export are replaced.
        mean: Per channel, of pixel values in [0, 1]. With it and ``std``, the folder
            also gets the ``preprocessor_config.json`` of ``AutoImageProcessor``.
        std: Likewise.

    Raises:
        ValueError: Hugging Face cannot express the encoder; every reason at once.
    """
    if not isinstance(encoder, VisionEncoder):
        raise ValueError(f"Hugging Face's {NAME} cannot express an encoder of your own")
    if reasons := against_data2vec_vision(encoder):
        raise ValueError(cannot_express({NAME: reasons}))
    vit = encoder.vit
    config = describe(vit)
    weights = to_hf(as_beit(vit))
    weights[MASK_TOKEN] = encoder.mask_token.view(1, 1, -1)
    fixed = {
        "architectures": [NAME],
        "model_type": "data2vec-vision",
        "dtype": str(encoder.mask_token.dtype).removeprefix("torch."),
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "drop_path_rate": 0.0,
    }
    write_weights(folder, weights)
    write_json(folder / CONFIG, fixed | config)
    if mean is not None and std is not None:
        processor = describe_preprocessing(config["image_size"], mean, std)
        write_json(folder / "preprocessor_config.json", processor)


def against_data2vec_vision(encoder: ImageEncoder) -> list[str]:
    """What ``Data2VecVisionModel`` cannot compute."""
    if not isinstance(encoder, VisionEncoder):
        return [OWN_ENCODER]
    return differently_computed(encoder.vit) or differently_shaped(encoder.vit)


def load_hf_vision(folder: Path) -> VisionEncoder:
    """The encoder of a Data2VecVision folder, in evaluation mode.

    Heads and poolers are left out. A model with ``use_mean_pooling`` has no norm after
    its last block, and neither has the encoder then. Without ``use_mask_token`` the
    mask token is zero, as in a new Hugging Face model.

    Args:
        folder: As ``save_pretrained`` writes it, or a download of a Hub repository.

    Raises:
        ValueError: The folder is incomplete, or holds another architecture.
    """
    given, weights = read_folder(folder)
    config = {name: given.get(name, value) for name, value in DEFAULTS.items()}
    config |= {name: one_side(config[name]) for name in ("image_size", "patch_size")}
    for name, value in (("model_type", "data2vec-vision"), ("hidden_act", "gelu")):
        if given.get(name, config.get(name)) != value:
            raise ValueError(
                f"{folder / CONFIG}: {name} must be {value}, got {given.get(name)!r}"
            )
    with global_torch_seed(0, "encoder"):
        encoder = VisionEncoder(create_beit(config))
    expected = to_hf(encoder.vit.state_dict())
    if config["use_mask_token"]:
        expected[MASK_TOKEN] = encoder.mask_token.view(1, 1, -1)
    weights = _encoder_weights(weights)
    if problems := differences(weights, expected):
        raise ValueError(
            f"{folder}: the weights do not fit {CONFIG}: " + "; ".join(problems)
        )
    mask_token = weights.pop(MASK_TOKEN, torch.zeros(1, 1, encoder.dim))
    encoder.vit.load_state_dict(from_hf(weights))
    with torch.no_grad():
        encoder.mask_token.copy_(mask_token.view(-1))
    return encoder.eval()


def _encoder_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without heads, poolers and the position index that old folders hold."""
    inside = any(name.startswith(PREFIX) for name in weights)
    return {
        name.removeprefix(PREFIX): tensor
        for name, tensor in weights.items()
        if name.startswith(PREFIX) or not inside
        if not name.removeprefix(PREFIX).startswith("pooler.")
        if not name.endswith("relative_position_index")
    }


DATA2VEC_VISION = HfClass(NAME, against_data2vec_vision, export_hf)
