"""``Data2VecVisionConfig`` in plain data, from and to a timm model.

Source: transformers 5.23 ``models/data2vec/configuration_data2vec_vision.py`` and
``modeling_data2vec_vision.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.models import beit, vision_transformer
from torch import Tensor, nn

from d2v_core.export.beit_names import as_beit

DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "use_mask_token": False,
    "use_absolute_position_embeddings": False,
    "use_relative_position_bias": False,
    "use_shared_relative_position_bias": False,
    "layer_scale_init_value": 0.1,
    "use_mean_pooling": True,
}
"""What the encoder depends on, with ``Data2VecVisionConfig``'s values."""


def describe(vit: Any) -> dict[str, Any]:
    """The configuration; the encoder has passed :func:`differently_computed`."""
    block, weights = vit.blocks[0], as_beit(vit)
    scaled = block if isinstance(block, beit.Block) else block.ls1
    return {
        "hidden_size": vit.embed_dim,
        "num_hidden_layers": len(vit.blocks),
        "num_attention_heads": block.attn.num_heads,
        "intermediate_size": block.mlp.fc1.out_features,
        "hidden_act": "gelu",
        "layer_norm_eps": block.norm1.eps,
        "image_size": vit.patch_embed.img_size[0],
        "patch_size": vit.patch_embed.patch_size[0],
        "num_channels": vit.patch_embed.proj.in_channels,
        "use_mask_token": True,
        "use_absolute_position_embeddings": "pos_embed" in weights,
        "use_relative_position_bias": any(
            name.startswith("blocks.") and name.endswith("_bias_table")
            for name in weights
        ),
        "use_shared_relative_position_bias": any(
            name.startswith("rel_pos_bias.") for name in weights
        ),
        "layer_scale_init_value": getattr(scaled, "init_values", None) or 0.0,
        "use_mean_pooling": isinstance(vit.norm, nn.Identity),
    }


def create_beit(config: Mapping[str, Any]) -> nn.Module:
    """The timm model that computes what Hugging Face's does with ``config``."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    exact = int(hidden * (inner / hidden)) == inner
    vit: Any = timm.create_model(
        "beit_base_patch16_224",
        img_size=config["image_size"],
        patch_size=config["patch_size"],
        in_chans=config["num_channels"],
        num_classes=0,
        global_pool="token",
        embed_dim=hidden,
        depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        mlp_ratio=inner / hidden if exact else (inner + 0.5) / hidden,
        init_values=config["layer_scale_init_value"],
        use_abs_pos_emb=config["use_absolute_position_embeddings"],
        use_rel_pos_bias=config["use_relative_position_bias"],
        use_shared_rel_pos_bias=config["use_shared_relative_position_bias"],
    )
    if config["use_mean_pooling"]:
        vit.norm = nn.Identity()
    for module in vit.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = config["layer_norm_eps"]
    created: nn.Module = vit
    return created


def differently_computed(vit: Any) -> list[str]:
    """What Hugging Face computes differently although the weights could be named."""
    blocks, prefix = list(vit.blocks), vit.num_prefix_tokens
    sizes = (vit.patch_embed.img_size, vit.patch_embed.patch_size)
    attentions = (beit.Attention, Attention)
    norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
    norms += [] if isinstance(vit.norm, nn.Identity) else [vit.norm]
    acts = [getattr(block.mlp, "act", None) for block in blocks]
    kinds = (beit.Block, vision_transformer.Block)
    rules = {
        "it has no class token": getattr(vit, "cls_token", None) is not None,
        f"it has {prefix} prefix tokens (registers, distillation), not the class token "
        "alone": prefix <= 1,
        f"images and patches must be square, got {sizes}": all(
            height == width for height, width in sizes
        ),
        "its blocks are not plain pre-norm blocks": all(
            type(block) in kinds and type(block.attn) in attentions for block in blocks
        ),
        "its feed-forward part is not two layers with an exact GELU": all(
            type(block.mlp) is Mlp for block in blocks
        )
        and all(isinstance(act, nn.GELU) and act.approximate == "none" for act in acts),
        "its norms are not layer norms with one epsilon": all(
            isinstance(norm, nn.LayerNorm) for norm in norms
        )
        and len({norm.eps for norm in norms}) == 1,
    }
    return [reason for reason, holds in rules.items() if not holds]


def differently_shaped(vit: Any) -> list[str]:
    """Weights without a place, places without a weight."""
    with torch.device("meta"):
        twin = create_beit(describe(vit))
    return differences(as_beit(vit), twin.state_dict())


def differences(
    given: Mapping[str, Tensor], expected: Mapping[str, Tensor], show: int = 4
) -> list[str]:
    """The first few weights that are too many, missing or of another shape."""
    problems = [f"{name} has no place" for name in given if name not in expected]
    problems += [f"{name} is missing" for name in expected if name not in given]
    for name in given.keys() & expected.keys():
        has, must = tuple(given[name].shape), tuple(expected[name].shape)
        problems += [f"{name} must have shape {must}, got {has}"] if has != must else []
    rest = len(problems) - show
    return sorted(problems)[:show] + ([f"and {rest} more weights"] if rest > 0 else [])


def one_side(size: Any) -> int:
    """Side of a square given as a number or as height and width.

    Raises:
        ValueError: It is not square.
    """
    sides = set(size) if isinstance(size, list) else {size}
    if len(sides) != 1:
        raise ValueError(f"images and patches must be square, got {size}")
    side: int = sides.pop()
    return side


def describe_preprocessing(
    size: int, mean: Sequence[float], std: Sequence[float]
) -> dict[str, Any]:
    """What :mod:`d2v_core.data` does: shorter side resized, centre cropped."""
    return {
        "image_processor_type": "BeitImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(std),
        "do_reduce_labels": False,
    }
