"""Settings that fit the data at hand: what a recipe written for it would say.

For images the numbers at ``laptop`` are those of ``vision-smoke``, calibrated on digits
(``docs/log.md``). Audio and text get the same length, rate and horizon, and ``gpu`` the
paper's depth; nobody has calibrated those. Lengths that should keep their meaning are
shares of the run: warm-up and the teacher's horizon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SizedFor = Literal["laptop", "gpu"]
SIDES = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224)
"""Sides of images that are divisible by 8; the last also by 16 and 14."""


@dataclass(frozen=True)
class ImageFacts:
    """Images: how many, median of their shorter sides in pixels, colour channels."""

    count: int
    side: int
    channels: int


@dataclass(frozen=True)
class AudioFacts:
    """Recordings: how many, and their median length in seconds."""

    count: int
    seconds: float


@dataclass(frozen=True)
class TextFacts:
    """Texts: how many, their median length and their whole length in characters."""

    count: int
    characters: int
    total: int


DataFacts = ImageFacts | AudioFacts | TextFacts


@dataclass(frozen=True)
class _Run:
    """Length, batch and network of one size."""

    width: int
    depth: int
    num_heads: int
    batch_size: int
    least: int
    most: int
    passes: int

    def training(self, count: int) -> dict[str, Any]:
        """So many passes over the data, within bounds."""
        batch = min(self.batch_size, max(2, 1 << int(math.log2(max(count, 2)))))
        wanted = self.passes * count // batch
        return {
            "num_steps": _round(min(max(wanted, self.least), self.most)),
            "batch_size": batch,
        }


_RUNS: dict[SizedFor, _Run] = {
    "laptop": _Run(64, 8, 4, 32, least=600, most=3_000, passes=100),
    "gpu": _Run(192, 12, 3, 256, least=2_000, most=100_000, passes=300),
}


def sizes() -> tuple[SizedFor, ...]:
    """The machines that a recipe can be sized for."""
    return tuple(_RUNS)


def settings_for(facts: DataFacts, sized_for: SizedFor = "laptop") -> dict[str, Any]:
    """A recipe without its data: everything that depends on what the data is like.

    Args:
        facts: What is known of the data.
        sized_for: ``laptop``: minutes on a core or two; ``gpu``: hours on one GPU.
    """
    run = _RUNS[sized_for]
    network = {"width": run.width, "depth": run.depth, "num_heads": run.num_heads}
    common: dict[str, Any] = {
        "training": run.training(facts.count),
        "teacher": {"tau": {"kind": "horizon", "horizon": 0.03}},
        "optimizer": {"learning_rate": 3.0e-3, "warmup": 0.1},
        "health": {"after": 0.5},
    }
    if sized_for == "gpu":
        common["optimizer"]["learning_rate"] = 1.0e-3
        common["training"]["precision"] = "bfloat16"
        common["execution"] = {"device": "auto", "num_gpus": 1}
    match facts:
        case ImageFacts():
            return {**common, **_images(facts, network, sized_for)}
        case AudioFacts():
            return {**common, **_audio(facts, network, sized_for)}
        case TextFacts():
            return {**common, **_texts(facts, network, sized_for)}


def _images(
    facts: ImageFacts, network: Mapping[str, Any], sized_for: SizedFor
) -> dict[str, Any]:
    most = 32 if sized_for == "laptop" else 224
    side = max(s for s in SIDES if s <= max(SIDES[0], min(facts.side, most)))
    patches = 8 if side < 160 else 14 if side == 224 else side // 16
    if side < 16:  # as vision-smoke: single pixels say nothing
        patches = 4
    return {
        "modality": "vision",
        "vision": {
            "timm_model": "vit_tiny_patch16_224",
            "image_size": side,
            "patch_size": side // patches,
            "channels": facts.channels,
            **network,
            "mlp_ratio": 2.0 if sized_for == "laptop" else 4.0,
            "positions": "sincos",
            "init": "timm",
        },
        "mask": {"kind": "block", "ratio": 0.6, "min_patches": max(2, patches // 2)},
        "augmentation": {"kind": "shift", "max_shift": max(1, side // 8)},
        "target": _target(network, "instance"),
        "head": {"init": "timm"},
    }


def _audio(
    facts: AudioFacts, network: Mapping[str, Any], sized_for: SizedFor
) -> dict[str, Any]:
    longest = min(max(facts.seconds, 1.0), 2.0 if sized_for == "laptop" else 10.0)
    front_end = {"kind": "log_mel", "num_mels": 40 if sized_for == "laptop" else 80}
    return {
        "modality": "speech",
        "speech": {
            "front_end": front_end,
            **network,
            "position_layers": 2,
            "position_kernel": 9,
            "position_groups": network["width"] // 16,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "layerdrop": 0.0,
        },
        "mask": {"kind": "span", "probability": 0.65, "span": 10},
        "waveform": {
            "min_seconds": round(min(0.5, longest / 2), 2),
            "max_seconds": round(longest, 2),
        },
        "target": _target(network, "instance"),
        "loss": {"kind": "l2", "scale": "inverse_sqrt_dim"},
    }


def _texts(
    facts: TextFacts, network: Mapping[str, Any], sized_for: SizedFor
) -> dict[str, Any]:
    most_tokens, most_words = (64, 1_500) if sized_for == "laptop" else (256, 30_000)
    tokens = 1 << math.ceil(math.log2(max(16, facts.characters / 3)))
    vocabulary = min(max(600, _round(facts.total // 300)), most_words)
    return {
        "modality": "text",
        "text": {
            "vocab_size": vocabulary,
            "max_tokens": min(tokens, most_tokens),
            **network,
            "mlp_ratio": 2.0,
            "dropout": 0.0,
            "attention_dropout": 0.0,
        },
        "mask": {"kind": "bert", "probability": 0.15},
        "target": _target(network, "layer"),
        "loss": {"kind": "smooth_l1", "beta": 2.0},
    }


def _target(network: Mapping[str, Any], norm: str) -> dict[str, Any]:
    """The average of all layers, as far as the paper's tables go (its K is 8 to 10)."""
    return {
        "top_k": min(network["depth"], 8 if norm == "instance" else 10),
        "feature": "ffn",
        "layer_norm": norm,
        "final_norm": "none",
    }


def _round(number: int) -> int:
    """Two digits that count, as a person would write it."""
    if number < 100:
        return number
    unit = int(10 ** (len(str(number)) - 2))
    return number // unit * unit
