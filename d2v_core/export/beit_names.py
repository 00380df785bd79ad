"""The same weights under timm's names and under those of Hugging Face's Data2VecVision.

timm's ``Beit`` is the common form: it expresses all that ``Data2VecVisionModel`` does,
and a plain ``VisionTransformer`` can be rewritten into it. Sources: timm 1.0.31
``models/beit.py`` and ``models/vision_transformer.py``; transformers 5.23
``models/data2vec/modeling_data2vec_vision.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

ATTENTION = "attention.attention"
TABLE = "relative_position_bias_table"
QKV = "attn.qkv.weight"
OUTSIDE_BLOCKS = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    f"rel_pos_bias.{TABLE}": f"encoder.relative_position_bias.{TABLE}",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
IN_BLOCKS = {
    "gamma_1": "lambda_1",
    "gamma_2": "lambda_2",
    "norm1.weight": "layernorm_before.weight",
    "norm1.bias": "layernorm_before.bias",
    "norm2.weight": "layernorm_after.weight",
    "norm2.bias": "layernorm_after.bias",
    "attn.q_bias": f"{ATTENTION}.query.bias",
    "attn.v_bias": f"{ATTENTION}.value.bias",
    f"attn.{TABLE}": f"{ATTENTION}.relative_position_bias.{TABLE}",
    "attn.proj.weight": "attention.output.dense.weight",
    "attn.proj.bias": "attention.output.dense.bias",
    "mlp.fc1.weight": "intermediate.dense.weight",
    "mlp.fc1.bias": "intermediate.dense.bias",
    "mlp.fc2.weight": "output.dense.weight",
    "mlp.fc2.bias": "output.dense.bias",
}
QKV_PARTS = [f"{ATTENTION}.{part}.weight" for part in ("query", "key", "value")]


def as_beit(vit: Any) -> dict[str, Tensor]:
    """Weights of a timm ViT as those of a ``Beit`` with the same outputs.

    Exact: the key bias is left out (it adds one number to all scores of a query, which
    the softmax ignores), a query or value bias that is absent is zero, and so is the
    position of a class token that has none. Names without a place in ``Beit`` stay.
    """
    weights: dict[str, Tensor] = {
        re.sub(r"\bls([12])\.gamma$", r"gamma_\1", name): tensor
        for name, tensor in vit.state_dict().items()
    }
    for name in [name for name in weights if name.endswith(QKV)]:
        attention, size = name.removesuffix("qkv.weight"), len(weights[name])
        no_bias = weights[name].new_zeros(size)
        q_bias, _, v_bias = weights.pop(f"{attention}qkv.bias", no_bias).chunk(3)
        weights.setdefault(f"{attention}q_bias", q_bias)
        weights.setdefault(f"{attention}v_bias", v_bias)
    if getattr(vit, "no_embed_class", False) and "pos_embed" in weights:
        patches = weights["pos_embed"]
        weights["pos_embed"] = torch.cat([torch.zeros_like(patches[:, :1]), patches], 1)
    return weights


def to_hf(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``Beit`` weights under Hugging Face's names; unknown names stay."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        block, inner = _split(name, "blocks")
        if block is None:
            renamed[OUTSIDE_BLOCKS.get(name, name)] = tensor
        elif inner == QKV:
            parts = zip(QKV_PARTS, tensor.chunk(3), strict=True)
            renamed |= {f"encoder.layer.{block}.{part}": piece for part, piece in parts}
        elif inner in IN_BLOCKS:
            renamed[f"encoder.layer.{block}.{IN_BLOCKS[inner]}"] = tensor
        else:
            renamed[name] = tensor
    return renamed


def from_hf(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`to_hf`, for exactly the names that it gives."""
    return dict(_from_hf(weights))


def _from_hf(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    outside = {hf: ours for ours, hf in OUTSIDE_BLOCKS.items()}
    inside = {hf: ours for ours, hf in IN_BLOCKS.items()}
    for name, tensor in weights.items():
        block, inner = _split(name, "encoder.layer")
        if block is None:
            yield outside[name], tensor
        elif inner == QKV_PARTS[0]:
            parts = [weights[f"encoder.layer.{block}.{part}"] for part in QKV_PARTS]
            yield f"blocks.{block}.{QKV}", torch.cat(parts)
        elif inner not in QKV_PARTS:
            yield f"blocks.{block}.{inside[inner]}", tensor


def _split(name: str, blocks: str) -> tuple[str | None, str]:
    """Number of the block, if it is in one, and the name inside it."""
    match = re.fullmatch(rf"{re.escape(blocks)}\.(\d+)\.(.+)", name)
    return (match[1], match[2]) if match else (None, name)
