"""The smallest trial, data and weights that still have every part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from d2v_core.config import VisionTrial, parse_trial
from d2v_core.data.vision.images import ArrayImages, ImageDataset, Split

SMALL: dict[str, Any] = {
    "modality": "vision",
    "seed": 3,
    "vision": {
        "timm_model": "vit_tiny_patch16_224",
        "image_size": 8,
        "patch_size": 2,
        "channels": 1,
        "width": 16,
        "depth": 3,
        "num_heads": 2,
        "mlp_ratio": 2.0,
    },
    "mask": {"kind": "block", "ratio": 0.6, "min_patches": 2},
    "target": {"top_k": 2},
    "teacher": {"tau": {"kind": "linear", "start": 0.5, "end": 0.99, "anneal": 0.9}},
    "optimizer": {"learning_rate": 1e-2, "warmup": 0.2},
    "training": {"num_steps": 6, "batch_size": 8},
    "evaluation": {"l2_grid": [0.01, 0.1, 1.0], "num_neighbours": 3},
    "health": {
        "min_target_std": 0.0,
        "min_prediction_std": 0.0,
        "after": 0,
        "check_every": 1,
    },
    "data": {"source": "digits"},
    "execution": {"device": "cpu", "log_every": 1, "checkpoint_every_seconds": 1e-9},
}

EVERYTHING_RANDOM: dict[str, Any] = {
    "vision": {"dropout": 0.1, "drop_path": 0.3, "attention_dropout": 0.1},
    "augmentation": {"kind": "shift", "horizontal_flip": True, "color_jitter": 0.3},
}

EVERY_KNOB: dict[str, Any] = {
    "target": {"layer_norm": "group", "num_groups": 4, "final_norm": "group"},
    "teacher": {
        "tau": {"kind": "cosine", "start": 0.5, "end": 1.0, "anneal": 1.0},
        "shares": ["feature_encoder", "positions"],
        "context": 0.3,
    },
    "loss": {"kind": "smooth_l1", "scale": "inverse_sqrt_dim"},
    "optimizer": {"decay": "tri_stage", "hold": 0.5},
}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested update; a mapping with a tag replaces what was there."""
    result = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        replaces = nested and {"kind", "source"} & set(value)
        result[key] = merged(result[key], value) if nested and not replaces else value
    return result


def small_trial(*changes: Mapping[str, Any]) -> VisionTrial:
    data: dict[str, Any] = SMALL
    for change in changes:
        data = merged(data, change)
    trial = parse_trial(data)
    assert isinstance(trial, VisionTrial)
    return trial


def small_split(
    num_images: int, *, seed: int, size: int = 8, channels: int = 1
) -> Split:
    """Noise in which each of three classes has its own bright column."""
    generator = np.random.default_rng(seed)
    labels = np.arange(num_images) % 3
    images = generator.integers(0, 160, (num_images, channels, size, size))
    for image, label in zip(images, labels, strict=True):
        image[:, :, label] += 90
    return Split(ArrayImages(images.astype(np.uint8)), labels.astype(np.int64))


def small_dataset(size: int = 8, channels: int = 1) -> ImageDataset:
    return ImageDataset(
        name="noise",
        digest="0" * 16,
        classes=("a", "b", "c"),
        train=small_split(30, seed=0, size=size, channels=channels),
        valid=small_split(15, seed=1, size=size, channels=channels),
        test=small_split(15, seed=2, size=size, channels=channels),
        mean=np.full(channels, 0.4),
        std=np.full(channels, 0.25),
    )


def fill_with_noise(module: nn.Module, *, seed: int = 0, scale: float = 0.3) -> None:
    """Give every parameter values, so that no zero or one hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def fill_with_ramp(module: nn.Module, *, scale: float = 0.2) -> None:
    """The same weights on every machine: evenly spaced values, alternating order."""
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            ramp = torch.linspace(-scale, scale, parameter.numel(), dtype=torch.float64)
            mixed = torch.sin(37.0 * ramp / scale + i) * scale
            parameter.copy_(mixed.view(parameter.shape))


SECOND = {
    "objective": {
        "kind": "data2vec2",
        "num_masks": 2,
        "decoder": {"width": 16, "depth": 2, "input_dropout": 0.2},
    },
    "mask": {"kind": "inverse_block", "block": 2},
}
"""data2vec 2.0 in small, with dropout of what its decoder reads."""
