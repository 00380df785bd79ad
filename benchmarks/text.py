"""Text's contenders: plain blocks, ours, Hugging Face's model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
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
from d2v_core.config.text import TextTrial
from d2v_core.encoders.token_inputs import BOS, EOS, SPECIAL_TOKENS, TokenRows, pad_rows
from d2v_core.objectives.parts.heads import regression_head

SIZES: dict[str, dict[str, Any]] = {
    "toy": {"max_tokens": 12, "width": 16, "depth": 2, "num_heads": 2},
    "tiny": {"max_tokens": 128, "width": 192, "depth": 12, "num_heads": 3},
    "base": {"max_tokens": 512, "width": 768, "depth": 12, "num_heads": 12},
}
BATCH_SIZES = {"toy": 2, "tiny": 32, "base": 2}
VOCABULARY = {"toy": 300, "tiny": 2_000, "base": 50_265}


def batch(size: str) -> TokenRows:
    """Random tokens between the special ones."""
    generator = np.random.default_rng(0)
    shape = (BATCH_SIZES[size], SIZES[size]["max_tokens"])
    ids = generator.integers(len(SPECIAL_TOKENS), VOCABULARY[size], shape)
    ids[:, 0], ids[:, -1] = BOS, EOS
    return pad_rows(list(ids))


def contenders(trial: TextTrial, rows: TokenRows) -> dict[str, Step]:
    """All steps by name, the floor first; Hugging Face's where it is installed."""
    return {
        FLOOR: plain_step(trial, rows),
        "d2v": our_step(trial, build_objective(trial, num_classes=2), rows),
        **where_installed(lambda: hugging_face_step(trial, rows)),
    }


def build_trial(size: str, layer_norm: str) -> TextTrial:
    """The paper's recipe (BERT masks, two-layer head, FFN outputs) without dropout."""
    none = ("dropout", "attention_dropout")
    trial = parse_trial(
        {
            "modality": "text",
            "text": {
                **SIZES[size],
                "vocab_size": VOCABULARY[size],
                **dict.fromkeys(none, 0.0),
            },
            "mask": {"kind": "bert"},
            "target": {
                "top_k": min(10, SIZES[size]["depth"]),
                "feature": "ffn",
                "layer_norm": layer_norm,
                "final_norm": "none",
            },
            "head": {"depth": 2},
            "loss": {"kind": "smooth_l1", "beta": 4.0, "scale": "sum"},
            "training": {"batch_size": BATCH_SIZES[size]},
        }
    )
    assert isinstance(trial, TextTrial)
    return trial


def plain_step(trial: TextTrial, rows: TokenRows) -> Step:
    """Our encoder twice, backward, fused AdamW."""
    student = build_encoder(trial).train()
    teacher = copy.deepcopy(student).requires_grad_(False).eval()

    def forward() -> Tensor:
        with torch.no_grad():
            teacher(rows)
        tokens: Tensor = student(rows)
        return tokens

    return floor_step(student, forward)


def hugging_face_step(trial: TextTrial, rows: TokenRows) -> Step:
    """data2vec as one writes it around Hugging Face's model, with the same masks.

    Raises:
        ImportError: transformers is not installed.
    """
    from transformers import Data2VecTextConfig, Data2VecTextModel

    text, options = trial.text, trial.target
    sizes = Data2VecTextConfig(
        vocab_size=text.vocab_size,
        hidden_size=text.width,
        num_hidden_layers=text.depth,
        num_attention_heads=text.num_heads,
        intermediate_size=round(text.width * text.mlp_ratio),
        max_position_embeddings=text.max_tokens + 2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
    )
    student = Data2VecTextModel(sizes, add_pooling_layer=False).train()
    teacher = copy.deepcopy(student).requires_grad_(False).eval()
    head = regression_head(text.width, trial.head.depth, trial.head_init)
    objective = build_objective(trial, num_classes=2)
    seen: list[Tensor] = []
    for layer in teacher.encoder.layer[-options.top_k :]:
        layer.output.dense.register_forward_hook(lambda m, args, out: seen.append(out))

    def targets() -> Tensor:
        seen.clear()
        teacher(rows.values)
        if options.layer_norm == "instance":
            layers = [F.instance_norm(x.transpose(1, 2)).mT for x in seen]
        else:
            layers = [F.layer_norm(x, x.shape[-1:]) for x in seen]
        return torch.stack(layers).mean(0)

    def loss_at(step: int) -> Tensor:
        masked = drawn_masks(objective, rows, step)
        read: Any = rows if masked.student is None else masked.student
        with torch.no_grad():
            wanted = targets()[masked.mask]
        ids = read.values.masked_fill(masked.mask, len(SPECIAL_TOKENS) - 1)
        tokens = student(ids).last_hidden_state[masked.mask]
        return F.smooth_l1_loss(head(tokens), wanted, beta=4.0) * text.width

    return step_by_hand(student, teacher, nn.ModuleList([head]), loss_at)
