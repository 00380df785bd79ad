"""What the contenders of every modality that :mod:`benchmarks.step` compares share.

Each contender is a callable without arguments that does one whole update.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from d2v_core.build import build_objective
from d2v_core.config import TrialConfig
from d2v_core.config.training import Precision
from d2v_core.encoders.inputs import Inputs
from d2v_core.objectives.data2vec import MaskDraw
from d2v_core.objectives.protocol import Objective
from d2v_core.training.compilation import compile_blocks
from d2v_core.training.loop import mixed_precision
from d2v_core.training.optimizer import build_optimizer

Step = Callable[[], None]

FLOOR = "plain floor"
MAX_GRAD_NORM = 3.0
TAU = 0.9998


def floor_step(student: nn.Module, forward: Callable[[], Tensor]) -> Step:
    """Forward, backward and fused AdamW.

    Args:
        student: What is optimised.
        forward: The teacher's forward pass, then the student's tokens.
    """
    parameters = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    # A gradient of ordinary size: that of a sum of normed tokens would vanish.
    weights = torch.randn_like(forward())

    def step() -> None:
        torch.autograd.backward((forward() * weights).mean())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def our_step(
    trial: TrialConfig,
    objective: Objective,
    inputs: Inputs,
    precision: Precision = "float32",
) -> Step:
    """The step of the training loop, without logging."""
    optimizer = build_optimizer(objective.module, trial.optimizer)
    parameters = list(objective.module.parameters())
    objective.module.train()
    labels, count = torch.zeros(len(inputs)), 0

    def step() -> None:
        nonlocal count
        count += 1
        with mixed_precision(inputs.device, precision):
            draw = objective.draw(inputs, count)
            loss = objective.loss(inputs, labels, draw, count).loss
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        objective.after_update(count)

    return step


def drawn_masks(objective: Objective, inputs: Inputs, step: int) -> MaskDraw:
    """Ours, for whoever trains another network with the same masks."""
    draw = objective.draw(inputs, step)
    assert isinstance(draw, MaskDraw)
    return draw


def where_installed(build: Callable[[], Step]) -> dict[str, Step]:
    """Hugging Face's step by name; nothing, and a line, without transformers."""
    try:
        return {"Hugging Face by hand": build()}
    except ImportError:
        print("transformers is not installed: its row is missing\n")
        return {}


def other_steps(
    trial: TrialConfig, inputs: Inputs, kinds: Sequence[str]
) -> dict[str, Step]:
    """Ours, not the same function to rounding (``bfloat16``), or by ``compile``."""
    steps = {}
    for kind in kinds:
        objective = build_objective(trial, num_classes=2)
        if kind == "compile":
            compile_blocks(objective.network("student"))
        precision: Precision = "bfloat16" if kind == "bfloat16" else "float32"
        steps[f"d2v, {kind}"] = our_step(trial, objective, inputs, precision)
    return steps


def step_by_hand(
    student: nn.Module,
    teacher: nn.Module,
    head: nn.Module,
    loss_at: Callable[[int], Tensor],
) -> Step:
    """data2vec as one writes it: loss, clipping, AdamW, EMA tensor by tensor."""
    parameters = [*student.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        torch.autograd.backward(loss_at(count))
        nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            pairs = zip(teacher.parameters(), student.parameters(), strict=True)
            for own, new in pairs:
                own.mul_(TAU).add_(new, alpha=1.0 - TAU)

    return step
