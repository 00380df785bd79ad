"""The last block of a timm ViT at the masked positions only.

The loss reads the student only where its input is masked, and no later block reads the
rest. So the last block needs keys and values of every position but queries, attention
output and feed-forward part only of the masked ones. The same holds for the teacher
where no target norm mixes positions. The idea is that of heads that pick positions
before they compute: BERT's ``gather_indexes`` (google-research/bert,
``run_pretraining.py``) and CaiT's class attention, arXiv 2103.17239 section 3.

Exact, not approximate: a row of attention depends on its own query alone, all else in a
block acts token by token, and rows that nobody reads have zero gradient. What differs
is the order of floating-point sums. Stochastic depth draws one number per image, as in
the full block; dropout draws fewer numbers, with the same distribution.

Anything this file does not know exactly runs in full (:func:`is_known`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import timm.layers
import torch
from jaxtyping import Float
from timm.models import beit, deit, vision_transformer
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.encoders.rows import MaskedRows

layers: Any = timm.layers  # mypy takes what it re-exports for private
KNOWN_MODELS = {
    vision_transformer.VisionTransformer,
    deit.VisionTransformerDistilled,
    beit.Beit,
}
ATTENTION_OF = {
    vision_transformer.Block: layers.Attention,
    beit.Block: beit.Attention,
}
TOKENWISE = {
    nn.Identity,
    nn.Linear,
    nn.LayerNorm,
    layers.LayerNorm,
    layers.LayerNormFp32,
    layers.RmsNorm,
    layers.LayerScale,
    layers.DropPath,
    nn.Dropout,
    nn.GELU,
    nn.SiLU,
    layers.Mlp,
    layers.GluMlp,
    layers.SwiGLU,
}
"""Modules that treat every token alike; subclasses may not, so types are compared."""


def is_known(vit: Any) -> bool:
    """Whether every part of the last block and what follows it is one of those above.

    Not with gradient checkpointing, which would run the full block again in backward,
    a compiled block, nor hooks or someone's ``forward`` on the attention it replaces.
    """
    block: Any = vit.blocks[-1]
    attention: Any = getattr(block, "attn", None)
    if type(vit) not in KNOWN_MODELS or vit.grad_checkpointing:
        return False
    if ATTENTION_OF.get(type(block)) is not type(attention):
        return False
    parts: list[Any] = [*block.modules(), vit.norm]
    known = TOKENWISE | {type(block), type(attention)}
    replaced = (block, attention, attention.qkv)
    return (
        all(type(part) in known for part in parts)
        and attention.fused_attn
        and block._compiled_call_impl is None
        and getattr(attention, "gate", None) is None
        and not any("forward" in vars(part) for part in replaced)
        and not any(p._forward_hooks or p._forward_pre_hooks for p in replaced[1:])
    )


@contextmanager
def last_block_at(vit: Any, rows: MaskedRows) -> Iterator[None]:
    """Let the last block of a known ``vit`` return ``rows`` alone, padding included."""
    block = vit.blocks[-1]
    run = _beit_block if type(block) is beit.Block else _vit_block
    block.forward = partial(run, block, rows)
    try:
        yield
    finally:
        del block.forward


def _vit_block(
    block: Any, rows: MaskedRows, tokens: Float[Tensor, "batch all_tokens dim"]
) -> Float[Tensor, "batch longest dim"]:
    """``vision_transformer.Block.forward``."""
    attended = _vit_attention(block.attn, rows, block.norm1(tokens))
    picked = rows.pick(tokens) + block.drop_path1(block.ls1(attended))
    ffn = block.mlp(block.norm2(picked))
    result: Tensor = picked + block.drop_path2(block.ls2(ffn))
    return result


def _beit_block(
    block: Any,
    rows: MaskedRows,
    tokens: Float[Tensor, "batch all_tokens dim"],
    shared_rel_pos_bias: Float[Tensor, "heads all_tokens all_tokens"] | None = None,
) -> Float[Tensor, "batch longest dim"]:
    """``beit.Block.forward``."""
    normed = block.norm1(tokens)
    attended = _beit_attention(block.attn, rows, normed, shared_rel_pos_bias)
    if block.gamma_1 is not None:
        attended = block.gamma_1 * attended
    picked = rows.pick(tokens) + block.drop_path1(attended)
    ffn = block.mlp(block.norm2(picked))
    if block.gamma_2 is not None:
        ffn = block.gamma_2 * ffn
    result: Tensor = picked + block.drop_path2(ffn)
    return result


def _vit_attention(
    attention: Any, rows: MaskedRows, normed: Float[Tensor, "batch all_tokens dim"]
) -> Float[Tensor, "batch longest dim"]:
    biases: tuple[Tensor | None, Tensor | None] = (None, None)
    if attention.qkv.bias is not None:
        width = len(attention.qkv.bias) // 3
        biases = attention.qkv.bias.split((width, 2 * width))
    query, key, value = _project(attention, rows, normed, *biases)
    query, key = attention.q_norm(query), attention.k_norm(key)
    return _attend(attention, attention.norm, query, key, value, None)


def _beit_attention(
    attention: Any,
    rows: MaskedRows,
    normed: Float[Tensor, "batch all_tokens dim"],
    shared_bias: Float[Tensor, "heads all_tokens all_tokens"] | None,
) -> Float[Tensor, "batch longest dim"]:
    biases: tuple[Tensor | None, Tensor | None] = (None, None)
    if attention.q_bias is not None:
        biases = (attention.q_bias, torch.cat((attention.k_bias, attention.v_bias)))
    query, key, value = _project(attention, rows, normed, *biases)
    bias = shared_bias
    if attention.relative_position_bias_table is not None:
        own = attention._get_rel_pos_bias().squeeze(0)
        bias = own if bias is None else own + bias
    if bias is not None:  # one row of (heads, all_tokens) for each query
        by_query = bias.transpose(0, 1).index_select(0, rows.tokens.flatten())
        bias = by_query.view(*rows.tokens.shape, *bias.shape[::2]).transpose(1, 2)
    return _attend(attention, nn.Identity(), query, key, value, bias)


def _project(
    attention: Any,
    rows: MaskedRows,
    normed: Float[Tensor, "batch all_tokens dim"],
    query_bias: Tensor | None,
    key_value_bias: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries of the rows, keys and values of all tokens; heads before tokens."""
    width = attention.qkv.out_features // 3
    of_query, of_rest = attention.qkv.weight.split((width, 2 * width))
    query = F.linear(rows.pick(normed), of_query, query_bias)
    key, value = F.linear(normed, of_rest, key_value_bias).chunk(2, dim=-1)
    heads = (attention.num_heads, -1)
    split = [x.reshape(*x.shape[:2], *heads) for x in (query, key, value)]
    return split[0].transpose(1, 2), split[1].transpose(1, 2), split[2].transpose(1, 2)


def _attend(
    attention: Any,
    norm: nn.Module,
    query: Float[Tensor, "batch heads longest channels"],
    key: Float[Tensor, "batch heads all_tokens channels"],
    value: Float[Tensor, "batch heads all_tokens channels"],
    bias: Tensor | None,
) -> Float[Tensor, "batch longest dim"]:
    dropout = attention.attn_drop.p if attention.training else 0.0
    attended = F.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=dropout
    )
    merged = attended.transpose(1, 2).flatten(2)
    result: Tensor = attention.proj_drop(attention.proj(norm(merged)))
    return result
