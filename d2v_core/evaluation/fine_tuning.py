"""Fine-tuning: the whole encoder with a new head, learning rate chosen on validation.

fairseq ``examples/wav2vec/config/finetuning``, ``examples/roberta/config/finetuning``
and ``data2vec_vision``'s ``run_class_finetuning.py`` (layer-wise decay) in one loop.
Departure: layer-wise decay holds at every weight decay; the released code loses it at
weight decay 0, which its own ViT-B command sets (``optim_factory.py`` 103-112, fairseq
#4333).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from d2v_core.config.fine_tuning import FineTuningConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.randomness import global_torch_seed
from d2v_core.training.optimizer import decays
from d2v_core.training.schedules import learning_rate, resolve_duration

Build = Callable[[Encoder], tuple[nn.Module, Callable[[int], Tensor]]]
"""From a copy of the encoder to a new head and the loss of an update (from 1)."""
Score = Callable[[Encoder, nn.Module], float]
"""On the validation split; higher is better."""


@dataclass(frozen=True)
class FineTuned:
    """The best of the learning rates.

    Attributes:
        encoder: Trained, in evaluation mode.
        head: Likewise.
        learning_rate: The peak that won.
        score: Its validation score.
        on_edge: Whether it is the smallest or largest of several.
    """

    encoder: Encoder
    head: nn.Module
    learning_rate: float
    score: float
    on_edge: bool


def fine_tune_best(
    encoder: Encoder, build: Build, score: Score, config: FineTuningConfig, *, seed: int
) -> FineTuned:
    """Fine-tune a copy of the encoder with each learning rate; keep the best.

    Args:
        encoder: Left as it is; may be a teacher, whose parameters take no gradient.
        build: Makes the head; weights are drawn from the seed, alike for every rate.
            May change the copy it is given: drop a norm, freeze a part.
        score: Selects; the smaller rate on a tie.
        config: Length, rates and schedule.
        seed: Seed of the head's weights and of dropout.
    """
    best: FineTuned | None = None
    rates = sorted(config.learning_rates)
    for peak in rates:
        network = trainable_copy(encoder)
        with global_torch_seed(seed, "fine-tuning head"):
            head, loss_of = build(network)
        head.to(next(network.parameters()).device)
        _fine_tune(network, head, loss_of, config, peak, seed)
        with torch.no_grad():
            reached = score(network.eval(), head.eval())
        if best is None or reached > best.score:
            on_edge = len(rates) > 1 and peak in (rates[0], rates[-1])
            best = FineTuned(network, head, peak, reached, on_edge)
    assert best is not None
    return best


def trainable_copy(encoder: Encoder) -> Encoder:
    """A copy whose every parameter is trained, but for those that are fixed."""
    network = copy.deepcopy(encoder)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in network.fixed)
    return network


def _fine_tune(
    encoder: Encoder,
    head: nn.Module,
    loss_of: Callable[[int], Tensor],
    config: FineTuningConfig,
    peak: float,
    seed: int,
) -> None:
    encoder.train()
    head.train()
    groups = parameter_groups(encoder, head, config)
    optimizer = torch.optim.AdamW(
        groups, lr=peak, betas=(0.9, config.beta2), fused=True
    )
    body = [p for p in encoder.parameters() if p.requires_grad]
    parameters = [*body, *head.parameters()]
    frozen_until = resolve_duration(config.freeze, config.num_steps)
    for step in range(1, config.num_steps + 1):
        for parameter in body:
            parameter.requires_grad_(step > frozen_until)
        rate = _rate_at(step, config, peak)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        with global_torch_seed(seed, "fine-tuning dropout", step):
            torch.autograd.backward(loss_of(step))
        if config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _rate_at(step: int, config: FineTuningConfig, peak: float) -> float:
    return learning_rate(
        step,
        peak=peak,
        final=peak * config.final_scale,
        warmup_steps=resolve_duration(config.warmup, config.num_steps),
        num_steps=config.num_steps,
        decay=config.decay,
        hold_steps=resolve_duration(config.hold, config.num_steps),
    )


def parameter_groups(
    encoder: Encoder, head: nn.Module, config: FineTuningConfig
) -> list[dict[str, Any]]:
    """Optimiser groups by learning-rate ``scale`` and weight decay.

    Block i of L (from 1) learns at ``layer_decay ** (L + 1 - i)`` times the peak, what
    comes before the blocks like a block 0; the closing norm and a table of positions
    that all blocks share at the peak (BEiT's ``optim_factory.py``), the head at
    ``head_learning_rate_factor`` times the peak.
    """
    top = encoder.depth + 1
    named = [
        (name, parameter, config.layer_decay ** (top - layer_of(name, encoder)))
        for name, parameter in encoder.named_parameters()
    ]
    factor = config.head_learning_rate_factor
    named += [(name, parameter, factor) for name, parameter in head.named_parameters()]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter, scale in named:
        if not parameter.requires_grad:
            continue
        decay = config.weight_decay if decays(name, parameter) else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]


AFTER_THE_BLOCKS = re.compile(r"^(vit|transformer)\.((fc_)?norm|rel_pos_bias)\.")


def layer_of(name: str, encoder: Encoder) -> int:
    """0 before the blocks, i in block i (from 1), depth + 1 after them."""
    if match := re.search(r"\bblocks\.(\d+)\.", name):
        return int(match.group(1)) + 1
    return encoder.depth + 1 if AFTER_THE_BLOCKS.match(name) else 0
