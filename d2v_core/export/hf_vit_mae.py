"""Vision encoders as Hugging Face ``ViTMAEModel`` folders.

Source: transformers 5.23 ``models/vit_mae/modeling_vit_mae.py``. The names are those of
the published ``facebook/vit-mae-base``, which are Data2VecVision's too
(:mod:`d2v_core.export.beit_names`). The table of positions is written as it is, fixed
or learned; transformers trains neither further. The mask token is left out: MAE hides
patches by leaving them out.

``ViTMAEModel`` shuffles the patches in every pass, also where it hides none
(``mask_ratio`` is written as 0). With ascending ``noise`` they stay in order; the class
token does not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from d2v_core.encoders.images import ImageEncoder
from d2v_core.encoders.timm_vision import VisionEncoder
from d2v_core.export.beit_names import as_beit, to_hf
from d2v_core.export.folder import CONFIG, write_json, write_weights
from d2v_core.export.hf_class import OWN_ENCODER, HfClass, cannot_express
from d2v_core.export.hf_config import (
    describe,
    describe_preprocessing,
    differently_computed,
    differently_shaped,
)

NAME = "ViTMAEModel"
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "image_size",
    "patch_size",
    "num_channels",
)
"""What its configuration has in common with Data2VecVision's."""


def export_vit_mae(
    encoder: ImageEncoder,
    folder: Path,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> None:
    """Write a folder for ``ViTMAEModel.from_pretrained`` with equal outputs.

    Args:
        encoder: A ViT with absolute positions and plain pre-norm blocks.
        folder: Made if needed; files of an earlier export are replaced.
        mean: Per channel, of pixel values in [0, 1]; as for
            :func:`d2v_core.export.hf_vision.export_hf`.
        std: Likewise.

    Raises:
        ValueError: Hugging Face cannot express the encoder; every reason at once.
    """
    if reasons := against_vit_mae(encoder):
        raise ValueError(cannot_express({NAME: reasons}))
    assert isinstance(encoder, VisionEncoder)
    described = describe(encoder.vit)
    weights = to_hf(as_beit(encoder.vit))
    config = {
        "architectures": [NAME],
        "model_type": "vit_mae",
        "dtype": str(encoder.mask_token.dtype).removeprefix("torch."),
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "qkv_bias": True,
        "mask_ratio": 0.0,
        **{name: described[name] for name in SIZES},
    }
    write_weights(folder, weights | _key_biases(weights))
    write_json(folder / CONFIG, config)
    if mean is not None and std is not None:
        processor = describe_preprocessing(config["image_size"], mean, std)
        write_json(folder / "preprocessor_config.json", processor)


def against_vit_mae(encoder: ImageEncoder) -> list[str]:
    """What ``ViTMAEModel`` cannot compute."""
    if not isinstance(encoder, VisionEncoder):
        return [OWN_ENCODER]
    vit = encoder.vit
    weights = as_beit(vit)
    rules = {
        "its attention has relative positions, it must have none (vision.timm_model: a "
        "ViT, not a BEiT)": not any(
            name.endswith("relative_position_bias_table") for name in weights
        ),
        "it has no absolute positions, it must have them (vision.timm_model: a ViT)": (
            "pos_embed" in weights
        ),
        "its blocks have layer scale, they must have none (vision.layer_scale: null, "
        "and a vision.timm_model without)": not any(
            name.endswith("gamma_1") for name in weights
        ),
        "it has no norm after its last block": not isinstance(vit.norm, nn.Identity),
    }
    reasons = differently_computed(vit)
    reasons += [reason for reason, holds in rules.items() if not holds]
    return reasons or differently_shaped(vit)


def _key_biases(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Zeros: a key's bias changes no attention, and :func:`as_beit` leaves it out."""
    return {
        name.replace(".query.", ".key."): torch.zeros_like(tensor)
        for name, tensor in weights.items()
        if name.endswith(".query.bias")
    }


VIT_MAE = HfClass(
    NAME,
    against_vit_mae,
    export_vit_mae,
    remarks=(
        "it shuffles patches in every pass; to keep their order, call "
        "model(images, noise=torch.arange(num_patches).expand(len(images), -1))",
    ),
)
