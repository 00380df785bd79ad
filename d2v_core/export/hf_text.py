"""Text encoders as Hugging Face folders: ``Data2VecTextModel``, ``RobertaModel``.

Data2VecText's are read back too. Source: transformers 5.23 ``models/data2vec/
modeling_data2vec_text.py`` and its configuration; ``models/roberta`` computes the same
under the same names. Departures from the published ``facebook/data2vec-text-base``: no
pooler (pre-training has none; transformers makes a new one), and ``<mask>`` has id 4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from d2v_core.encoders.text import TextEncoder
from d2v_core.encoders.token_inputs import BOS, EOS, MASK, PAD, SPECIAL_TOKENS
from d2v_core.export.folder import CONFIG, read_folder, write_json, write_weights
from d2v_core.export.hf_class import HfClass, cannot_express
from d2v_core.export.hf_config import differences
from d2v_core.randomness import global_torch_seed

NAME, ROBERTA_NAME = "Data2VecTextModel", "RobertaModel"
PREFIX = "data2vec_text."
"""Prefix of encoder weights in a folder that holds a classifier or a language model."""
TOKEN_TYPES = "embeddings.token_type_embeddings.weight"
DEFAULTS: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 1,
    "is_decoder": False,
}
"""What the encoder depends on, with ``Data2VecTextConfig``'s values."""
EMBEDDING_NAMES = {
    "tokens.weight": "embeddings.word_embeddings.weight",
    "pos_embed": "embeddings.position_embeddings.weight",
    "norm.weight": "embeddings.LayerNorm.weight",
    "norm.bias": "embeddings.LayerNorm.bias",
}
BLOCK_NAMES = {
    "out": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "norm2": "output.LayerNorm",
}


def export_hf_text(
    encoder: TextEncoder, folder: Path, *, tokenizer: str | None = None
) -> None:
    """Write a folder for ``Data2VecTextModel`` and ``AutoTokenizer``, equal outputs.

    Dropout is left at 0: it belongs to a training, not to the encoder.

    Args:
        encoder: A post-norm encoder.
        folder: Made if needed; files of an earlier export are replaced.
        tokenizer: As JSON; None: no tokenizer files are written.

    Raises:
        ValueError: Hugging Face cannot express the encoder.
    """
    _export(encoder, folder, tokenizer, name=NAME, model_type="data2vec-text")


def export_roberta(
    encoder: TextEncoder, folder: Path, *, tokenizer: str | None = None
) -> None:
    """Write a folder for ``RobertaModel``, as :func:`export_hf_text` does.

    Raises:
        ValueError: Hugging Face cannot express the encoder.
    """
    _export(encoder, folder, tokenizer, name=ROBERTA_NAME, model_type="roberta")


def against_post_norm_text(encoder: TextEncoder) -> list[str]:
    """What neither class can compute."""
    block: Any = encoder.transformer.blocks[0]
    if not block.norm_first:
        return []
    return ["its blocks are pre-norm, they must be post-norm (text.norm: post)"]


def _export(
    encoder: TextEncoder,
    folder: Path,
    tokenizer: str | None,
    *,
    name: str,
    model_type: str,
) -> None:
    if reasons := against_post_norm_text(encoder):
        raise ValueError(cannot_express({name: reasons}))
    blocks: Any = encoder.transformer.blocks
    weights = to_hf(encoder.state_dict())
    weights[TOKEN_TYPES] = torch.zeros(1, encoder.dim)
    config = {
        "architectures": [name],
        "model_type": model_type,
        "dtype": str(encoder.pos_embed.dtype).removeprefix("torch."),
        "vocab_size": encoder.vocab_size,
        "hidden_size": encoder.dim,
        "num_hidden_layers": encoder.depth,
        "num_attention_heads": blocks[0].num_heads,
        "intermediate_size": blocks[0].fc1.out_features,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": len(encoder.pos_embed),
        "type_vocab_size": 1,
        "layer_norm_eps": encoder.norm.eps,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }
    write_weights(folder, weights)
    write_json(folder / CONFIG, config)
    if tokenizer is not None:
        _write_tokenizer(folder, tokenizer, encoder.max_tokens)


def _write_tokenizer(folder: Path, tokenizer: str, max_tokens: int) -> None:
    bos, pad, eos, unk, mask = SPECIAL_TOKENS
    write_json(folder / "tokenizer.json", json.loads(tokenizer))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_tokens,
            "bos_token": bos,
            "cls_token": bos,
            "eos_token": eos,
            "sep_token": eos,
            "pad_token": pad,
            "unk_token": unk,
            "mask_token": mask,
            "model_input_names": ["input_ids", "attention_mask"],
        },
    )


def load_hf_text(folder: Path) -> TextEncoder:
    """The encoder of a Data2VecText folder, in evaluation mode.

    Heads and poolers are left out. The embedding of token type 0, which every token
    has, is added to the positions. ``<mask>`` has the id that the folder's tokenizer
    gives it; 4 where there is no tokenizer.

    Args:
        folder: As ``save_pretrained`` writes it, or a download of a Hub repository.

    Raises:
        ValueError: The folder is incomplete, or holds another architecture.
    """
    given, weights = read_folder(folder)
    config = {name: given.get(name, value) for name, value in DEFAULTS.items()}
    required = {"model_type": "data2vec-text", "pad_token_id": PAD}
    required |= {"hidden_act": "gelu", "is_decoder": False}
    for name, value in required.items():
        has = given.get(name, config.get(name))
        if has != value:
            raise ValueError(f"{folder / CONFIG}: {name} must be {value}, got {has}")
    with global_torch_seed(0, "encoder"):
        encoder = TextEncoder(
            vocab_size=config["vocab_size"],
            max_tokens=config["max_position_embeddings"] - PAD - 1,
            dim=config["hidden_size"],
            depth=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            ffn_dim=config["intermediate_size"],
            eps=config["layer_norm_eps"],
            mask_id=_mask_id(folder / "tokenizer.json"),
        )
    weights = _encoder_weights(weights)
    types = weights.pop(TOKEN_TYPES, None)
    if problems := differences(weights, to_hf(encoder.state_dict())):
        raise ValueError(
            f"{folder}: the weights do not fit {CONFIG}: " + "; ".join(problems)
        )
    encoder.load_state_dict(from_hf(weights, encoder.depth))
    if types is not None:
        with torch.no_grad():
            encoder.pos_embed.add_(types[0])
    return encoder.eval()


def _mask_id(file: Path) -> int:
    if not file.is_file():
        return MASK
    added = json.loads(file.read_text(encoding="utf-8")).get("added_tokens", [])
    ids = {token["content"]: int(token["id"]) for token in added}
    return ids.get(SPECIAL_TOKENS[MASK], MASK)


def _encoder_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without heads, poolers and the position index that old folders hold."""
    inside = any(name.startswith(PREFIX) for name in weights)
    return {
        name.removeprefix(PREFIX): tensor
        for name, tensor in weights.items()
        if name.startswith(PREFIX) or not inside
        if not name.removeprefix(PREFIX).startswith("pooler.")
        if not name.endswith(("position_ids", "token_type_ids"))
    }


def to_hf(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a :class:`TextEncoder` by Hugging Face's names."""
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name in EMBEDDING_NAMES:
            named[EMBEDDING_NAMES[name]] = tensor
            continue
        number, part, kind = name.removeprefix("transformer.blocks.").split(".")
        layer = f"encoder.layer.{number}"
        if part == "qkv":
            thirds = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            for role, third in thirds:
                named[f"{layer}.attention.self.{role}.{kind}"] = third
        else:
            named[f"{layer}.{BLOCK_NAMES[part]}.{kind}"] = tensor
    return named


def from_hf(weights: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """The inverse of :func:`to_hf`."""
    named = {ours: weights[theirs] for ours, theirs in EMBEDDING_NAMES.items()}
    for number in range(depth):
        layer, block = f"encoder.layer.{number}", f"transformer.blocks.{number}"
        for kind in ("weight", "bias"):
            thirds = [
                weights[f"{layer}.attention.self.{role}.{kind}"]
                for role in ("query", "key", "value")
            ]
            named[f"{block}.qkv.{kind}"] = torch.cat(thirds)
            for ours, theirs in BLOCK_NAMES.items():
                named[f"{block}.{ours}.{kind}"] = weights[f"{layer}.{theirs}.{kind}"]
    return named


DATA2VEC_TEXT = HfClass(NAME, against_post_norm_text, export_hf_text)
ROBERTA = HfClass(ROBERTA_NAME, against_post_norm_text, export_roberta)
