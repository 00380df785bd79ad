"""The training loop: a generator of events without side effects of its own.

Whoever drives it decides what an event leads to: Ray, a notebook and a test drive the
same loop. Closing the generator stops the training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from d2v_core.checkpoint import TrainingState
from d2v_core.config.training import OptimizerConfig
from d2v_core.encoders.inputs import Inputs
from d2v_core.errors import DivergedError
from d2v_core.events import CheckpointDue, Collapsed, Progress
from d2v_core.health import find_collapse
from d2v_core.learners import Measure
from d2v_core.randomness import global_torch_seed
from d2v_core.schedules import learning_rate, resolve_duration

Batches = Callable[[int], tuple[Inputs, Inputs]]
"""Inputs and labels of an update (from 1), on the CPU."""


def train(
    state: TrainingState,
    *,
    batches: Batches,
    num_steps: int,
    learning_rate_at: Callable[[int], float],
    max_grad_norm: float | None,
    seed: int,
    log_every: int,
    checkpoint_every_seconds: float,
    thresholds: Mapping[str, float],
    check_after: int,
    check_every: int,
    stop_on_collapse: bool,
) -> Iterator[Progress | CheckpointDue | Collapsed]:
    """Train from ``state.step`` to ``num_steps``, changing ``state`` in place.

    Args:
        state: New or restored; consistent whenever the generator is suspended.
        batches: Inputs and labels of an update (from 1), on the CPU.
        num_steps: Updates in all.
        learning_rate_at: Learning rate of an update.
        max_grad_norm: Global norm gradients are clipped to; None for no clipping.
        seed: Of dropout and stochastic depth.
        log_every: Updates between two progress events.
        checkpoint_every_seconds: Least time between two checkpoints, which follow
            progress events.
        thresholds: Least healthy value of a metric.
        check_after: First update at which the thresholds hold.
        check_every: Updates between two looks at the thresholds.
        stop_on_collapse: Whether a collapse ends the training.

    Raises:
        DivergedError: Loss or gradient norm is not finite.
    """
    learner, parameters = state.learner, list(state.learner.module.parameters())
    device = parameters[0].device
    learner.module.train()
    window = Window(device)
    last_save = started = time.perf_counter()
    while state.step < num_steps:
        step = state.step + 1
        inputs, labels = (part.to(device, non_blocking=True) for part in batches(step))
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate_at(step)
        with global_torch_seed(seed, "dropout", step):
            result = learner.step(inputs, labels, step)
            torch.autograd.backward(result.loss)
        norm = nn.utils.clip_grad_norm_(parameters, max_grad_norm or float("inf"))
        window.add(step, result.loss.detach(), norm)
        logged = is_due(step, log_every, num_steps)
        checked = step >= check_after and is_due(step, check_every, num_steps)
        measures = window.healthy(result.measure) if logged or checked else {}
        collapse = find_collapse(step, measures, thresholds) if checked else None
        newly_collapsed = collapse is not None and state.collapse is None
        logged |= newly_collapsed
        described = result.describe() if logged else {}
        metrics = {**window.means(), **measures, **described} if logged else {}
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        learner.after_update(step)
        state.step, state.collapse = step, state.collapse or collapse
        if not logged:
            continue
        now = time.perf_counter()
        state.seconds, started = state.seconds + now - started, now
        metrics["optimizer/learning_rate"] = learning_rate_at(step)
        yield Progress(step=step, metrics=metrics, seconds=state.seconds)
        if newly_collapsed and state.collapse is not None:
            yield Collapsed(state.collapse)
        if state.collapse is not None and stop_on_collapse:
            return
        if now - last_save >= checkpoint_every_seconds and step < num_steps:
            last_save = now
            yield CheckpointDue(state)
        started = time.perf_counter()


def is_due(step: int, every: int, num_steps: int) -> bool:
    """Whether something that happens every so many updates, and at the end, is due."""
    return step % every == 0 or step == num_steps


class Window:
    """Means of loss and gradient norm since the last progress event, on the device."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(2, device=device)
        self._first_bad = torch.zeros((), dtype=torch.int64, device=device)
        self._bad_values = torch.zeros(2, device=device)
        self._count = 0

    def add(self, step: int, loss: Tensor, grad_norm: Tensor) -> None:
        """Take in one update without waiting for the device."""
        values = torch.stack((loss.float(), grad_norm.float()))
        bad = ~torch.isfinite(values).all() & (self._first_bad == 0)
        self._first_bad.masked_fill_(bad, step)
        self._bad_values = torch.where(bad, values, self._bad_values)
        self._sums += values
        self._count += 1

    def healthy(self, measure: Measure) -> Mapping[str, float]:
        """Measure, unless a value has stopped being finite.

        Raises:
            DivergedError: Says which value and at which update.
        """
        if step := int(self._first_bad):
            loss, norm = self._bad_values.tolist()
            name, value = ("gradient", norm) if math.isfinite(loss) else ("loss", loss)
            raise DivergedError(step, f"the {name} is not finite ({value})")
        return measure()

    def means(self) -> dict[str, float]:
        """Means, and start anew."""
        loss, norm = (self._sums / self._count).tolist()
        self._sums.zero_()
        self._count = 0
        return {"train/loss": loss, "train/grad_norm": norm}


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
