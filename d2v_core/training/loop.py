"""The training loop: a generator of events without side effects of its own.

Whoever drives it decides what an event leads to: Ray, a notebook and a test drive the
same loop. Closing the generator stops the training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping

import torch
from torch import Tensor, nn

from d2v_core.config.training import Precision
from d2v_core.data.batch import Batches
from d2v_core.errors import DivergedError
from d2v_core.objectives.protocol import Measure, StepResult
from d2v_core.randomness import global_torch_seed
from d2v_core.training.checkpoint import TrainingState
from d2v_core.training.events import CheckpointDue, Collapsed, ProbeDue, Progress
from d2v_core.training.health import find_collapse
from d2v_core.training.parallel import ALONE, Workers
from d2v_core.training.prefetch import Feed, with_draws


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
    precision: Precision = "float32",
    prefetch: int = 0,
    probe_after: Collection[int] = (),
    stop_wanted: Callable[[], bool] = bool,
    workers: Workers = ALONE,
) -> Iterator[Progress | ProbeDue | CheckpointDue | Collapsed]:
    """Train from ``state.step`` to ``num_steps``, changing ``state`` in place.

    Args:
        state: New or restored; consistent whenever the generator is suspended.
        batches: Inputs and labels of an update (from 1), on the CPU.
        num_steps: Updates in all.
        learning_rate_at: Learning rate of an update.
        max_grad_norm: Global norm gradients are clipped to; None for no clipping.
        seed: Seed of dropout and stochastic depth.
        log_every: Updates between two progress events.
        checkpoint_every_seconds: Least time between two checkpoints, which follow
            progress events.
        thresholds: Least healthy value of a metric.
        check_after: First update at which the thresholds hold.
        check_every: Updates between two looks at the thresholds.
        stop_on_collapse: Whether a collapse ends the training.
        precision: Precision of the networks' matrix products.
        prefetch: Batches made ahead by a background thread; 0: none.
        probe_after: Updates followed by a :class:`ProbeDue`, before any other event.
        stop_wanted: Asked after progress events; training then ends with a checkpoint.
            Of several workers the first one's counts.
        workers: Those that train together; ``batches`` gives this one's rows.

    Raises:
        DivergedError: Loss or gradient norm is not finite.
        PeerLostError: Another worker is gone.
    """
    objective, parameters = state.objective, list(state.objective.module.parameters())
    objective.module.train()
    window = Window(state.device)
    last_save = started = time.perf_counter()
    steps, drawn = range(state.step + 1, num_steps + 1), with_draws(batches, objective)
    with Feed(drawn, steps, device=state.device, ahead=prefetch) as feed:
        for step, inputs, labels, draw in feed:
            set_learning_rate(state.optimizer, learning_rate_at(step))
            with global_torch_seed(seed, workers.stream("dropout"), step):
                with mixed_precision(state.device, precision):
                    result = objective.loss(inputs, labels, draw, step)
                torch.autograd.backward(result.loss)
            window.add(step, *pooled(parameters, result, max_grad_norm, workers))
            logged = is_due(step, log_every, num_steps)
            checked = step >= check_after and is_due(step, check_every, num_steps)
            measures = window.healthy(result.measure) if logged or checked else {}
            watched = thresholds if checked and state.collapse is None else {}
            newly = find_collapse(step, measures, watched)
            logged |= newly is not None
            described = {**result.describe(), **window.means()} if logged else {}
            apply_gradients(state, step)
            state.step, state.collapse = step, state.collapse or newly
            if step in probe_after:
                started = yield from probing(state, window, started)
            if not logged:
                continue
            now = time.perf_counter()
            state.seconds += now - started
            state.data_seconds += feed.take_seconds_waited()
            yield Progress(
                step,
                {
                    **measures,
                    **described,
                    "optimizer/learning_rate": learning_rate_at(step),
                },
                state.seconds,
                state.data_seconds,
            )
            if newly is not None:
                yield Collapsed(newly)
            if stop_on_collapse and state.collapse is not None:
                return
            stops = bool(workers.from_first(stop_wanted()))
            due = stops or now - last_save >= checkpoint_every_seconds
            if due and step < num_steps:
                last_save = now
                yield CheckpointDue(state, stopping=stops)
            if stops:
                return
            started = time.perf_counter()


def probing(
    state: TrainingState, window: Window, started: float
) -> Generator[ProbeDue, None, float]:
    """Let somebody evaluate, off the clock; when the clock goes on.

    Raises:
        DivergedError: There is nothing to evaluate.
    """
    window.healthy(dict)
    state.seconds += time.perf_counter() - started
    yield ProbeDue(state.step)
    return time.perf_counter()


def pooled(
    parameters: list[nn.Parameter],
    result: StepResult,
    max_norm: float | None,
    workers: Workers,
) -> tuple[Tensor, Tensor]:
    """Pool the workers' gradients, clip them; the batch's loss, the norm they had."""
    loss = workers.combine(parameters, result.loss.detach(), result.num_terms)
    return loss, nn.utils.clip_grad_norm_(parameters, max_norm or float("inf"))


def apply_gradients(state: TrainingState, step: int) -> None:
    """One optimiser update, and what the objective does after it."""
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.objective.after_update(step)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def mixed_precision(device: torch.device, precision: Precision) -> torch.autocast:
    """A context for forward passes; float32 changes nothing."""
    enabled = precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


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
