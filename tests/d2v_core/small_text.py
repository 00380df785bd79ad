"""The smallest text trial, data and weights that still have every part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from d2v_core.config import parse_trial
from d2v_core.config.text import TextTrial
from d2v_core.data.text.dataset import TextDataset
from d2v_core.data.text.tasks import Samples, Task
from d2v_core.data.text.token_rows import store_rows
from d2v_core.data.text.tokenizer import TextTokenizer, train_bpe
from tests.d2v_core.small import SMALL, merged

SMALL_TEXT: dict[str, Any] = {
    **{name: value for name, value in SMALL.items() if name not in ("vision", "mask")},
    "modality": "text",
    "text": {
        "vocab_size": 280,
        "max_tokens": 24,
        "width": 16,
        "depth": 3,
        "num_heads": 2,
        "mlp_ratio": 2.0,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    },
    "mask": {"kind": "span", "probability": 0.35, "span": 4},
    "target": {"top_k": 2, "feature": "ffn", "layer_norm": "layer"},
    "head": {"depth": 2},
    "evaluation": {"l2_grid": [0.01, 0.1, 1.0]},
    "data": {"source": "pydoc"},
}

EVERYTHING_RANDOM: dict[str, Any] = {
    "text": {
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.1,
        "drop_path": 0.2,
        "layerdrop": 0.2,
    },
    "mask": {"kind": "bert", "probability": 0.4},
}

WORDS = ("ape", "bee", "cow", "dog", "elk", "fox", "gnu", "hen")


def small_text_trial(*changes: Mapping[str, Any]) -> TextTrial:
    data: dict[str, Any] = SMALL_TEXT
    for change in changes:
        data = merged(data, change)
    trial = parse_trial(data)
    assert isinstance(trial, TextTrial)
    return trial


def small_samples(count: int, *, seed: int, pairs: bool = False) -> Samples:
    """Animals; in each of two classes one of them is frequent."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2

    def text(label: int) -> str:
        words = generator.choice(WORDS, generator.integers(2, 6)).tolist()
        return " ".join([*words, *[WORDS[label]] * 3])

    first = tuple(text(int(label)) for label in labels)
    second = tuple(text(int(label)) for label in labels) if pairs else None
    return Samples(first, second, labels)


def small_task(name: str = "animal", *, pairs: bool = False) -> Task:
    return Task(
        name=name,
        classes=("ape", "bee"),
        score="accuracy",
        train=small_samples(30, seed=0, pairs=pairs),
        valid=small_samples(14, seed=1, pairs=pairs),
        tests={"": small_samples(14, seed=2, pairs=pairs)},
    )


def small_tokenizer() -> TextTokenizer:
    return TextTokenizer(train_bpe(small_samples(40, seed=3).first, 280))


def small_text_dataset(*tasks: Task) -> TextDataset:
    tokenizer = small_tokenizer()
    samples = small_samples(30, seed=0)
    return TextDataset(
        name="animals",
        tokenizer=tokenizer,
        rows=store_rows(tokenizer.rows(samples.first, 24)),
        labels=samples.labels[:20],
        classes=("ape", "bee"),
        tasks=tasks or (small_task(), small_task("same", pairs=True)),
    )
