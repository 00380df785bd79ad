"""The objectives that data2vec is compared with, as small as they can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.d2v_core.small_speech import LOG_MEL

SMALL_DECODER: dict[str, Any] = {
    "decoder": {"kind": "transformer", "width": 8, "depth": 2, "num_heads": 2}
}
SMALL_QUANTISER: dict[str, Any] = {
    "num_codes": 5,
    "code_width": 6,
    "width": 7,
    "num_distractors": 4,
    "feature_dropout": 0.0,
    "min_code_perplexity": 0.0,
}
SHORT = {"mask": {"kind": "span", "probability": 0.5, "span": 1, "same_count": False}}
"""For the few frames of log mel."""
UNEVEN = {"mask": {"kind": "span", "span": 4, "same_count": False}}


def objective(kind: str, **settings: Any) -> dict[str, Any]:
    return {"objective": {"kind": kind, **settings}}


def calm(kind: str, **settings: Any) -> dict[str, Any]:
    """An objective, and an optimiser that makes nothing of rounding.

    The bias of keys has no gradient but rounding, which Adam with its usual epsilon
    takes for a direction.
    """
    return {**objective(kind, **settings), "optimizer": {"epsilon": 1e-4}}


OTHERS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "pixels, MAE": ("vision", calm("pixels", **SMALL_DECODER)),
    "pixels, SimMIM": (
        "vision",
        calm(
            "pixels",
            decoder={"kind": "linear"},
            piece_norm="none",
            distance="absolute",
        ),
    ),
    "pixels, speech": (
        "speech",
        {**calm("pixels", **SMALL_DECODER), **LOG_MEL, **SHORT},
    ),
    "tokens": (
        "text",
        {**calm("tokens"), "mask": {"kind": "bert", "probability": 0.4}},
    ),
    "contrastive": ("speech", calm("contrastive", **SMALL_QUANTISER)),
    "contrastive, uneven": (
        "speech",
        {**calm("contrastive", **SMALL_QUANTISER), **UNEVEN},
    ),
    "rotation, all": ("vision", calm("rotation")),
    "rotation, one": ("vision", calm("rotation", views="one")),
    "context": ("vision", calm("context")),
    "data2vec, variance": ("vision", calm("data2vec", variance_weight=1.0)),
    "data2vec, separate heads": ("text", {"target": {"combine": "separate"}}),
    "jigsaw": ("vision", calm("jigsaw", num_permutations=6)),
}
"""Modality and settings, by name."""
