"""Learning rate and EMA decay as functions of the update.

Linear tau: fairseq ``data2vec_audio.py`` 87-90 and 172-185. Cosine tau: BYOL
(arXiv 2006.07733, implementation details). Tri-stage: fairseq
``tri_stage_lr_scheduler.py`` at 00bc2798. Departures: every warm-up starts at 0, where
fairseq's tri-stage starts at 1 % of the peak; and the first update gets tau(1) in every
modality, as in fairseq, where ``data2vec_vision`` begins at tau(0) (the same number
with its released constant tau).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Decay = Literal["cosine", "linear", "constant", "tri_stage"]
"""Shape of the learning rate after the warm-up."""


def resolve_duration(duration: int | float, num_steps: int) -> int:
    """Updates a duration stands for: itself when integer, else a share of the run."""
    if isinstance(duration, int):
        return duration
    return round(duration * num_steps)


def tau_of_horizon(share: float, num_steps: int) -> float:
    """EMA decay whose horizon ``1 / (1 - tau)`` is a share of the run's updates.

    Args:
        share: Share of the run; less than one update of it is one, which is tau 0.
        num_steps: Updates of the run.
    """
    return 1.0 - 1.0 / max(1.0, share * num_steps)


def linear_tau(step: int, *, start: float, end: float, anneal_steps: int) -> float:
    """EMA decay of update ``step`` (from 1): linear to ``end``, then constant."""
    if step >= anneal_steps:
        return end
    return end - (end - start) * (1.0 - step / anneal_steps)


def cosine_tau(step: int, *, start: float, end: float, anneal_steps: int) -> float:
    """EMA decay of update ``step`` (from 1): half a cosine to ``end``, then constant.

    ``end - (end - start) * (cos(pi * step / anneal_steps) + 1) / 2``; with ``end`` 1
    and the whole run as ramp it is BYOL's ``1 - (1 - start) * (cos(...) + 1) / 2``.
    """
    if step >= anneal_steps:
        return end
    remaining = 0.5 * (1.0 + math.cos(math.pi * step / anneal_steps))
    return end - (end - start) * remaining


def learning_rate(
    step: int,
    *,
    peak: float,
    final: float,
    warmup_steps: int,
    num_steps: int,
    decay: Decay | Callable[[float], float],
    hold_steps: int = 0,
) -> float:
    """Learning rate of update ``step`` (from 1): linear warm-up, hold, then decay.

    The peak is reached at update ``warmup_steps`` and left after ``hold_steps`` more,
    the final value is reached at ``num_steps``. ``tri_stage`` decays by the same factor
    at every update: ``peak * exp(-decay_factor * t)``. A function gives the share
    of the way from the final value to the peak that is left, by the share of the decay
    that is done.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    decay_start = warmup_steps + hold_steps
    if decay == "constant" or step <= decay_start:
        return peak
    progress = (step - decay_start) / max(1, num_steps - decay_start)
    if not isinstance(decay, str):
        return final + (peak - final) * decay(progress)
    if decay == "tri_stage":
        decay_factor = -math.log(final / peak)
        return peak * math.exp(-decay_factor * progress)
    remaining = (
        0.5 * (1.0 + math.cos(math.pi * progress))
        if decay == "cosine"
        else 1.0 - progress
    )
    return final + (peak - final) * remaining
