"""What counted operations mean on a real GPU, for people who plan.

The peak rates are NVIDIA's (H200 SXM data sheet, dense: with 2:4 sparsity it prints
twice as much). No training reaches them; the share that is assumed here is what large
matrix products usually get, and small networks get less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablations.mlflow_names import FLOPS_METRIC
from ablations.record import DONE, Record
from d2v_core.config import TrialConfig
from d2v_core.costs import TrialCost, estimate_cost

GPU = "H200"
PEAK_FLOPS = {"bfloat16": 989e12, "float32": 67e12}
"""Operations per second: tensor cores in bfloat16; float32 as PyTorch multiplies by
default, without them."""
GPU_MEMORY_GB = 141
UTILISATION = 0.4
"""Assumed share of the peak."""
GIB = 2**30


def gpu_hours(cost: TrialCost, trial: TrialConfig) -> float:
    """Hours of one GPU at the assumed share of its peak."""
    rate = PEAK_FLOPS[trial.training.precision] * UTILISATION
    return cost.flops / rate / 3_600


def assumption(trial: TrialConfig) -> str:
    """What the hours rest on."""
    return (
        f"one {GPU} at {100 * UTILISATION:.0f} % of its {trial.training.precision} peak"
    )


def cost_fields(cost: TrialCost | None, trial: TrialConfig) -> dict[str, Any]:
    """Plain data for ``--json``; null where the cost is not known."""
    if cost is None:
        names = ("parameters", "flops", "gpu_hours", "memory_gib")
        return dict.fromkeys(names)
    return {
        "parameters": cost.num_parameters,
        "flops": cost.flops,
        "gpu_hours": gpu_hours(cost, trial),
        "memory_gib": cost.memory_bytes / GIB,
    }


def with_flops(record: Record, trial: TrialConfig) -> Record:
    """The record with the operations of its updates, unless they cannot be counted.

    An update is counted once per shape of networks, in a fraction of a second. Updates
    that were repeated after a crash count once.
    """
    if not record.steps and record.status not in DONE:
        return record
    try:
        cost = estimate_cost(trial)
    except RuntimeError:  # an operation that the meta device does not know
        cost = None
    if cost is None:
        return record
    metrics = {**record.metrics, FLOPS_METRIC: cost.update_flops * record.steps}
    return Record.model_validate({**dict(record), "metrics": metrics})


def cost_line(costs: Mapping[str, tuple[TrialCost, TrialConfig]]) -> str | None:
    """The costliest trial in one sentence; None without any.

    Args:
        costs: Trials to train by key, with their cost.
    """
    if not costs:
        return None
    cost, trial = max(costs.values(), key=lambda pair: pair[0].flops)
    equal = all(alike(other.flops, cost.flops) for other, _ in costs.values())
    fits = cost.memory_bytes <= GPU_MEMORY_GB * 1e9
    too_much = "" if fits else f" (one {GPU} has {GPU_MEMORY_GB / GIB * 1e9:.0f})"
    flops = f"{cost.flops:.2g}".replace("e+", "e")
    return (
        f"{'each trial' if equal else 'the costliest trial'}: "
        f"{people_count(cost.num_parameters)} parameters, {flops} FLOPs, "
        f"{people_hours(gpu_hours(cost, trial))} on {assumption(trial)}, "
        f"{people_bytes(cost.memory_bytes)} at batch {cost.batch_size}{too_much}; "
        "evaluation on top"
    )


def alike(one: float, other: float) -> bool:
    """Whether two costs are the same to a reader."""
    return abs(one - other) <= 0.01 * max(one, other)


def people_count(number: int) -> str:
    """``86 M``, ``136 k``."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return str(number)


def people_bytes(number: float) -> str:
    """``249 GiB``, ``9 MiB``."""
    if number >= GIB / 10:
        return f"{number / GIB:,.{0 if number >= 10 * GIB else 1}f} GiB"
    return f"{number / 2**20:.0f} MiB"


def people_hours(hours: float) -> str:
    """``about 1,540 GPU-hours``."""
    if hours < 0.1:
        return "under 0.1 GPU-hours"
    return f"about {hours:,.{0 if hours >= 10 else 1}f} GPU-hours"
