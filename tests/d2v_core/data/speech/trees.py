"""Tiny speech data sets on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

WORDS = ("ONE", "TWO THREE", "FOUR")


def tone(num_samples: int, rate: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    time = np.arange(num_samples) / rate
    wave = 0.3 * np.sin(2 * np.pi * generator.uniform(100, 400) * time)
    return (wave + 0.01 * generator.standard_normal(num_samples)).astype(np.float32)


def write_audio(path: Path, num_samples: int, *, rate: int = 16_000, seed: int = 0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(num_samples, rate, seed), rate, subtype="PCM_16")


def write_manifest(
    root: Path,
    split: str,
    num_files: int = 3,
    *,
    rate: int = 16_000,
    num_samples: int = 1_600,
    words: bool = True,
) -> Path:
    """``<split>.tsv`` with audio below ``wav``, transcripts and labels."""
    rows, texts, labels = ["wav"], [], ["path\tspeaker"]
    for i in range(num_files):
        name, size = f"{split}-{i}.wav", num_samples + 160 * i
        write_audio(root / "wav" / name, size, rate=rate, seed=i)
        rows.append(f"{name}\t{size}")
        texts.append(WORDS[i % len(WORDS)])
        labels.append(f"{name}\ts{i % 2}")
    root.mkdir(exist_ok=True)
    manifest = root / f"{split}.tsv"
    manifest.write_text("\n".join(rows) + "\n")
    manifest.with_suffix(".labels.tsv").write_text("\n".join(labels) + "\n")
    if words:
        manifest.with_suffix(".wrd").write_text("\n".join(texts) + "\n")
        letters = [" ".join(text.replace(" ", "|")) + " |" for text in texts]
        manifest.with_suffix(".ltr").write_text("\n".join(letters) + "\n")
    return manifest


def write_splits(root: Path, **options) -> Path:
    for split in ("train", "valid", "test"):
        write_manifest(root, split, **options)
    return root
