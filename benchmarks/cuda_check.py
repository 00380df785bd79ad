"""Does a GPU compute what the CPU computes? One update and short trials on both.

    python -m benchmarks.cuda_check compare train
    python -m benchmarks.cuda_check compare --modality speech --device cpu

``compare``: one update of every objective with the same weights, batch and draw, on
the CPU and on the device, in float32: loss and gradients within 1e-3 of each other;
the same update in bfloat16 is finite. ``train``: short trials from start to result,
with their evaluation, in both precisions; everything they log is finite. Ends with 1
if something disagrees. Data is embedded. How fast it is: :mod:`benchmarks.cuda_speed`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from d2v_cli.recipe import resolve_recipe
from d2v_core.build import build_objective
from d2v_core.config import TrialConfig
from d2v_core.modalities import modality_of
from d2v_core.training.events import Finished, Progress
from d2v_core.training.loop import mixed_precision
from d2v_core.trial import run_trial

CPU = torch.device("cpu")
TOLERANCE = 1e-3
MODALITIES = ("vision", "speech", "text")
OF_ALL: dict[str, tuple[str, ...]] = {
    "data2vec": (),
    "layer norm": ("target.layer_norm=layer", "target.final_norm=layer"),
    "batch norm": ("target.layer_norm=batch",),
    "no norm": ("target.layer_norm=none", "target.final_norm=none"),
    "separate heads": ("target.combine=separate",),
    "data2vec 2.0": (
        *("objective.kind=data2vec2", "mask.kind=inverse_block", "mask.block=2"),
        *("objective.decoder.width=64", "objective.decoder.depth=2"),
        *("objective.decoder.groups=4", "objective.num_masks=2"),
    ),
}
BERT = ("mask.kind=bert", "mask.probability=0.15")
OWN: dict[str, dict[str, tuple[str, ...]]] = {
    "vision": {
        "MAE": ("objective.kind=pixels", "mask.kind=random", "mask.ratio=0.75"),
        "SimMIM": (
            *("objective.kind=pixels", "objective.decoder.kind=linear"),
            *("objective.piece_norm=none", "objective.distance=absolute"),
        ),
        "rotation": ("objective.kind=rotation",),
        "context": ("objective.kind=context",),
        "jigsaw": ("objective.kind=jigsaw", "objective.num_permutations=30"),
        "supervised": ("objective.kind=supervised",),
    },
    "speech": {
        "wav2vec 2.0": ("objective.kind=contrastive",),
        "supervised": ("objective.kind=supervised",),
    },
    "text": {"masked language model": ("objective.kind=tokens", *BERT)},
}


def cases(modality: str) -> dict[str, tuple[str, ...]]:
    """The settings of everything that is compared, by name."""
    return {**OF_ALL, **OWN[modality]}


def trial_of(recipe: str, *settings: str) -> TrialConfig:
    """A shipped recipe with changes."""
    return resolve_recipe(recipe, seed=0, assignments=settings, data_root=None)


@cache
def data_of(modality: str) -> Any:
    """The embedded data, read once."""
    trial = trial_of(f"{modality}-smoke")
    return modality_of(trial).load_data(trial)


@dataclass(frozen=True)
class Agreement:
    """One update on two devices.

    Attributes:
        loss: Relative difference.
        gradients: The largest relative difference of a parameter's gradient.
        worst: That parameter.
        finite: Whether the update in bfloat16 is.
    """

    loss: float
    gradients: float
    worst: str
    finite: bool

    @property
    def holds(self) -> bool:
        """Whether both compute the same."""
        return self.finite and max(self.loss, self.gradients) < TOLERANCE


def one_update(
    trial: TrialConfig, device: torch.device, precision: Any = "float32"
) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of the first update; dropout is off."""
    modality, dataset = modality_of(trial), data_of(getattr(trial, "modality"))  # noqa: B009
    objective = build_objective(trial, num_classes=len(dataset.classes))
    objective.to(device)
    objective.module.eval()
    inputs, labels = modality.batches(trial, dataset)(1)
    draw = objective.draw(inputs, 1)
    with mixed_precision(device, precision):
        moved = (part.to(device) for part in (inputs, labels, draw))
        loss = objective.loss(*moved, 1).loss
    torch.autograd.backward(loss)
    named = objective.module.named_parameters()
    gradients = {n: p.grad.double().cpu() for n, p in named if p.grad is not None}
    return float(loss.detach()), gradients


def compare(trial: TrialConfig, device: torch.device) -> Agreement:
    """The first update on the CPU and on another device."""
    (loss, grads), (other, others) = (one_update(trial, d) for d in (CPU, device))
    assert grads.keys() == others.keys()
    half, halves = one_update(trial, device, "bfloat16")
    total = math.sqrt(sum(float(grad.square().sum()) for grad in grads.values()))
    # A gradient that is nothing but rounding, as that of keys' biases, counts as small.
    least = 1e-3 * total / math.sqrt(len(grads))
    apart = {
        name: float((grad - others[name]).norm()) / max(float(grad.norm()), least)
        for name, grad in grads.items()
    }
    worst = max(apart, key=lambda name: apart[name])
    finite = math.isfinite(half) and all(g.isfinite().all() for g in halves.values())
    return Agreement(abs(loss - other) / abs(loss), apart[worst], worst, finite)


def train(trial: TrialConfig) -> tuple[bool, str]:
    """Train and evaluate; whether all of it is finite, and what came out in a line."""
    losses, scores = [], dict[str, float]()
    for event in run_trial(trial, dataset=data_of(getattr(trial, "modality"))):  # noqa: B009
        if isinstance(event, Progress):
            losses.append(event.metrics["train/loss"])
        if isinstance(event, Finished):
            scores = dict(event.metrics)
    shown = [f"loss {losses[0]:.4f} to {losses[-1]:.4f}"] if losses else []
    shown += [f"{n[5:]} {x:.2f}" for n, x in scores.items() if n.startswith("eval/")]
    values = [*losses, *scores.values()]
    return bool(scores) and all(map(math.isfinite, values)), ", ".join(shown[:4])


def compared(modality: str, device: torch.device) -> Iterator[bool]:
    """Compare every objective, a line each."""
    for name, settings in cases(modality).items():
        trial = trial_of(f"{modality}-smoke", "training.batch_size=16", *settings)
        difference = compare(trial, device)
        worst = "" if difference.holds else f", at {difference.worst}"
        numbers = (
            f"loss {difference.loss:.1e}, gradients {difference.gradients:.1e}{worst}"
        )
        word = "ok" if difference.holds else "FAIL"
        print(f"{modality:7} {name:22} {word:4} {numbers}", flush=True)
        yield difference.holds


def trained(modality: str, device: str, steps: int) -> Iterator[bool]:
    """Train short trials, a line each."""
    short = [f"training.num_steps={steps}", f"execution.log_every={max(1, steps // 4)}"]
    for name, kind, precision in (
        ("data2vec", "data2vec", "float32"),
        ("data2vec, bfloat16", "data2vec", "bfloat16"),
        ("untrained", "untrained", "float32"),
    ):
        settings = [f"execution.device={device}", f"training.precision={precision}"]
        settings += [*short, f"objective.kind={kind}"]
        good, line = train(trial_of(f"{modality}-smoke", *settings))
        print(f"{modality:7} {name:22} {'ok' if good else 'FAIL':4} {line}", flush=True)
        yield good


def main(arguments: Sequence[str] | None = None) -> None:
    """Check and print; exits with 1 if something disagrees."""
    parser = argparse.ArgumentParser(description="does a GPU compute the same?")
    parser.add_argument("stages", nargs="+", choices=("compare", "train"))
    parser.add_argument("--modality", nargs="+", choices=MODALITIES, default=MODALITIES)
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    parser.add_argument("--steps", type=int, default=40, help="updates of train")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            sys.exit("no CUDA device here; --device cpu tries the script itself")
        # PyTorch's default for convolutions is TF32, which has ten bits.
        torch.backends.cudnn.allow_tf32 = False
    checks: list[bool] = []
    for modality in options.modality:
        if "compare" in options.stages:
            checks += compared(modality, device)
        if "train" in options.stages:
            checks += trained(modality, options.device, options.steps)
    print(f"{sum(checks)} of {len(checks)} hold")
    sys.exit(0 if all(checks) else 1)


if __name__ == "__main__":
    main()
