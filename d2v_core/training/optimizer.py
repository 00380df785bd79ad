"""AdamW and the learning rate of each update, from their configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from d2v_core.config.training import OptimizerConfig
from d2v_core.training.schedules import Decay, learning_rate, resolve_duration

OwnOptimizer = Callable[[list[dict[str, Any]], float], torch.optim.Optimizer]
"""From groups of parameters, each with its ``weight_decay``, and the peak rate."""


def build_optimizer(
    module: nn.Module, config: OptimizerConfig, make: OwnOptimizer | None = None
) -> torch.optim.Optimizer:
    """Weight decay on matrices only (no vectors, tokens or position tables).

    Args:
        module: What is trained.
        config: Its rates.
        make: Makes it; None: AdamW.
    """
    groups: dict[float, list[nn.Parameter]] = {config.weight_decay: [], 0.0: []}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = config.weight_decay if decays(name, parameter) else 0.0
        groups[decay].append(parameter)
    used: list[dict[str, Any]] = [
        {"params": p, "weight_decay": decay} for decay, p in groups.items() if p
    ]
    if make is not None:
        return make(used, config.learning_rate)
    return torch.optim.AdamW(
        used,
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a matrix that weight decay is for."""
    return parameter.ndim >= 2 and not name.endswith(
        ("_token", "pos_embed", "relative_position_bias_table")
    )


def build_learning_rate(
    config: OptimizerConfig,
    num_steps: int,
    decay: Callable[[float], float] | None = None,
) -> Callable[[int], float]:
    """Learning rate of an update (from 1).

    Args:
        config: Peak, warm-up and shape.
        num_steps: Updates of the run.
        decay: The user's own shape; None: one of ours.
    """
    warmup_steps = resolve_duration(config.warmup, num_steps)
    hold_steps = resolve_duration(config.hold, num_steps)
    shape = decay or cast(Decay, config.decay)

    def at(step: int) -> float:
        return learning_rate(
            step,
            peak=config.learning_rate,
            final=config.final_learning_rate,
            warmup_steps=warmup_steps,
            num_steps=num_steps,
            decay=shape,
            hold_steps=hold_steps,
        )

    return at
