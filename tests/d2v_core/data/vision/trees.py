"""Tiny image folders on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, seed: int, size: tuple[int, int] = (10, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_tree(root: Path, counts: Mapping[str, Mapping[str, int]]) -> Path:
    """``{"train": {"cat": 4}}`` writes ``root/train/cat/0.png`` ... ``3.png``."""
    seed = 0
    for split, classes in counts.items():
        for name, count in classes.items():
            for i in range(count):
                seed += 1
                write_image(root / split / name / f"{i}.png", seed)
    return root


STANDARD = {"train": {"cat": 6, "dog": 4}, "test": {"cat": 2, "dog": 3}}
