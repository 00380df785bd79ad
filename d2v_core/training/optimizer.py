"""AdamW and the learning rate of each update, from their configuration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from d2v_core.config.training import OptimizerConfig
from d2v_core.training.schedules import learning_rate, resolve_duration


def build_optimizer(
    module: nn.Module, config: OptimizerConfig
) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices only (no vectors, tokens or position tables)."""
    groups: dict[float, list[nn.Parameter]] = {config.weight_decay: [], 0.0: []}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = config.weight_decay if decays(name, parameter) else 0.0
        groups[decay].append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "weight_decay": decay} for decay, p in groups.items() if p],
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
    config: OptimizerConfig, num_steps: int
) -> Callable[[int], float]:
    """Learning rate of an update (from 1)."""
    warmup_steps = resolve_duration(config.warmup, num_steps)
    hold_steps = resolve_duration(config.hold, num_steps)

    def at(step: int) -> float:
        return learning_rate(
            step,
            peak=config.learning_rate,
            final=config.final_learning_rate,
            warmup_steps=warmup_steps,
            num_steps=num_steps,
            decay=config.decay,
            hold_steps=hold_steps,
        )

    return at
