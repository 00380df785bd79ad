"""Learning rate and EMA decay as functions of the update.

Linear tau: fairseq ``data2vec_audio.py`` 87-90 and 172-185.
"""

from __future__ import annotations

import math
from typing import Literal


def resolve_duration(duration: int | float, num_steps: int) -> int:
    """Updates a duration stands for: itself when integer, else a share of the run."""
    if isinstance(duration, int):
        return duration
    return round(duration * num_steps)


def linear_tau(step: int, *, start: float, end: float, anneal_steps: int) -> float:
    """EMA decay of update ``step`` (from 1): linear to ``end``, then constant."""
    if step >= anneal_steps:
        return end
    return end - (end - start) * (1.0 - step / anneal_steps)


def learning_rate(
    step: int,
    *,
    peak: float,
    final: float,
    warmup_steps: int,
    num_steps: int,
    decay: Literal["cosine", "linear", "constant"],
) -> float:
    """Learning rate of update ``step`` (from 1): linear warm-up, then decay.

    The peak is reached at update ``warmup_steps``, the final value at ``num_steps``.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    if decay == "constant":
        return peak
    progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    remaining = (
        0.5 * (1.0 + math.cos(math.pi * progress))
        if decay == "cosine"
        else 1.0 - progress
    )
    return final + (peak - final) * remaining
