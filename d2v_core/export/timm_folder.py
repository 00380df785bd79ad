"""Vision encoders as folders in timm's own format.

``config.json`` and ``model.safetensors`` as ``timm.models.save_for_hf`` lays them out
(timm 1.0.31 ``models/_hub.py``), so that both of these open the encoder::

    timm.create_model("local-dir:FOLDER", pretrained=True)
    timm.create_model(config["architecture"], **config["model_args"])

Departure: the metadata of the published weights with the same name (tag, licence, mean
and standard deviation of the pixels) is left out; these are other weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.drop import DropPath
from timm.models import get_model_args
from torch import nn

from d2v_core.encoders.images import ImageEncoder
from d2v_core.encoders.timm_vision import VisionEncoder
from d2v_core.export.folder import CONFIG, write_json, write_weights

Part = tuple[str, str]


def export_timm(
    encoder: ImageEncoder,
    folder: Path,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> None:
    """Write a folder from which timm rebuilds the ViT, without the mask token.

    Dropout and stochastic depth are left out: they belong to a training, not to the
    encoder.

    Args:
        encoder: Any encoder that timm's name and options describe completely.
        folder: Made if needed; files of an earlier export are replaced.
        mean: Per channel, of pixel values in [0, 1]; None: timm assumes ImageNet's.
        std: Likewise.

    Raises:
        ValueError: timm would build another encoder from the name and the options.
    """
    if not isinstance(encoder, VisionEncoder):
        raise ValueError("timm cannot express an encoder of your own")
    vit = encoder.vit
    name: str = vit.pretrained_cfg["architecture"]
    options: dict[str, Any] = get_model_args(vit)
    with torch.device("meta"):
        rebuilt = timm.create_model(name, **options)
    if different := sorted(_parts(vit) ^ _parts(rebuilt)):
        where, what = different[0]
        raise ValueError(
            f"timm builds another encoder from {name} and its options; the first "
            f"difference is at {where}: {what}"
        )
    write_weights(folder, vit.state_dict())
    write_json(
        folder / CONFIG,
        {
            "architecture": name,
            "num_classes": 0,
            "num_features": vit.num_features,
            "model_args": options,
            "pretrained_cfg": _describe_input(vit, mean, std),
        },
    )


def _parts(vit: Any) -> set[Part]:
    """Everything that computes, in words, and the shapes of the weights."""
    regularisers = (nn.Dropout, DropPath, nn.Identity)
    leaves = {
        (name, repr(module))
        for name, module in vit.named_modules()
        if not list(module.children()) and not isinstance(module, regularisers)
    }
    weights = vit.state_dict().items()
    return leaves | {(name, str(tuple(tensor.shape))) for name, tensor in weights}


def _describe_input(
    vit: Any, mean: Sequence[float] | None, std: Sequence[float] | None
) -> dict[str, Any]:
    """What :mod:`d2v_core.data` does: shorter side resized, centre cropped."""
    statistics = {"mean": mean, "std": std}
    return {
        "input_size": [vit.patch_embed.proj.in_channels, *vit.patch_embed.img_size],
        "fixed_input_size": True,
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "num_classes": 0,
        "first_conv": "patch_embed.proj",
        "classifier": "head",
        **{
            name: list(value) for name, value in statistics.items() if value is not None
        },
    }
