"""An audio source: tones of two heights on noise, which a probe tells apart."""

from typing import Any

import numpy as np

RATE = 16_000


def tones(root: str | None, num_waves: int = 24) -> dict[str, Any]:
    """Make three splits, the same ones at every call.

    Args:
        root: The data root, which is not needed here.
        num_waves: In each split.

    Returns:
        By split: waves, float at 16 kHz, each of its own length, and labels.
    """
    generator = np.random.default_rng(0)

    def split() -> dict[str, Any]:
        heights = generator.choice([200.0, 800.0], num_waves)
        waves = []
        for height in heights:
            times = np.arange(generator.integers(RATE // 2, RATE)) / RATE
            wave = 0.3 * np.sin(2 * np.pi * height * times)
            waves.append(wave + 0.05 * generator.normal(size=len(times)))
        return {"waves": waves, "labels": [f"{height:.0f} Hz" for height in heights]}

    return {name: split() for name in ("train", "valid", "test")}
