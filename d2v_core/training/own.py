"""Optimiser and learning-rate decay of the user's own, tried before they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from d2v_core.config.own import reference_in
from d2v_core.config.trial import TrialConfig
from d2v_core.own.kinds import DECAY, OPTIMISER
from d2v_core.own.loading import NUM_TRIED, own, share, tried
from d2v_core.training.optimizer import OwnOptimizer


def own_decay(trial: TrialConfig) -> Callable[[float], float] | None:
    """Shape of the learning rate after the warm-up; None: it is one of ours.

    Raises:
        ConfigError: It cannot be used.
    """
    given, path = trial.optimizer.decay, "optimizer.decay"
    if reference_in(given) is None:
        return None
    function = own(trial, path, DECAY, given)

    def left(progress: float) -> float:
        return share(function(progress), f"at progress {progress:g}")

    every = [i / NUM_TRIED for i in range(NUM_TRIED + 1)]
    tried(path, DECAY, given, lambda: [left(progress) for progress in every])
    return left


def own_optimizer(trial: TrialConfig) -> OwnOptimizer | None:
    """What makes the optimiser; None: AdamW is used.

    Raises:
        ConfigError: It cannot be used.
    """
    given, path = trial.optimizer.algorithm, "optimizer.algorithm"
    if reference_in(given) is None:
        return None
    function = own(trial, path, OPTIMISER, given, trial.optimizer.settings)

    def make(groups: list[dict[str, Any]], learning_rate: float) -> Optimizer:
        wanted = {id(p) for group in groups for p in group["params"]}
        optimizer = function(groups, learning_rate)
        if not isinstance(optimizer, Optimizer):
            raise ValueError(f"gave a {type(optimizer).__name__}")
        has = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if has != wanted:
            raise ValueError(f"has {len(has & wanted)} of {len(wanted)} parameters")
        return optimizer

    tried(path, OPTIMISER, given, lambda: _two_updates(make, trial))
    return make


def _two_updates(make: OwnOptimizer, trial: TrialConfig) -> None:
    """Two updates of a few parameters, the second after a checkpoint."""
    matrix, vector = (nn.Parameter(torch.ones(size)) for size in ((3, 2), (3,)))
    rate, decay = trial.optimizer.learning_rate, trial.optimizer.weight_decay
    groups = [
        {"params": [matrix], "weight_decay": decay},
        {"params": [vector], "weight_decay": 0.0},
    ]
    optimizer = make([dict(group) for group in groups], rate)
    for _ in range(2):
        matrix.grad, vector.grad = torch.ones(3, 2), torch.ones(3)
        optimizer.step()
        saved = optimizer.state_dict()
        optimizer = make([dict(group) for group in groups], rate)
        optimizer.load_state_dict(saved)
    if not (matrix.isfinite().all() and vector.isfinite().all()):
        raise ValueError("made parameters that are not finite")
    if (vector == 1.0).all():
        raise ValueError("changed no parameter")
