"""Seconds per training step against a plain floor, interleaved; vision, on the CPU.

    python -m benchmarks.step --size tiny --rounds 12 --layer-norm instance

The floor is the same timm model forward and backward, one forward without gradients and
fused AdamW: no masks, targets, loss, EMA or clipping. Every round runs each contender
once, in an order that rotates, and a ratio compares times of the same round, so that
other work on the machine hits all alike. CPU time is the better witness on a machine
that is busy: it does not count waiting (run with ``OMP_WAIT_POLICY=passive``, or
threads that wait count as work).
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders import Step, floor_step, hugging_face_step, our_step
from d2v_core.config import VisionTrial, parse_trial

FLOOR = "plain floor"
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"image_size": 8, "patch_size": 2, "width": 16, "depth": 2, "num_heads": 2},
    "tiny": {
        "image_size": 32,
        "patch_size": 4,
        "width": 192,
        "depth": 12,
        "num_heads": 3,
    },
    "vit-b": {
        "image_size": 224,
        "patch_size": 16,
        "width": 768,
        "depth": 12,
        "num_heads": 12,
    },
}
BATCH_SIZES = {"toy": 4, "tiny": 64, "vit-b": 4}
WARM_UP = 2
Times = tuple[float, float]
"""Wall and CPU seconds of one step."""


def build_trial(size: str, layer_norm: str) -> VisionTrial:
    """The released recipe (blocks averaged, block masks) at one of the sizes."""
    vision = {"timm_model": "vit_tiny_patch16_224", "channels": 3, **SIZES[size]}
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    trial = parse_trial(
        {
            "modality": "vision",
            "vision": vision,
            "mask": {"kind": "block", "ratio": 0.6, "min_patches": patches // 12},
            "target": {"top_k": min(6, vision["depth"]), "layer_norm": layer_norm},
            "training": {"batch_size": BATCH_SIZES[size]},
        }
    )
    assert isinstance(trial, VisionTrial)
    return trial


def build_contenders(size: str, layer_norm: str) -> dict[str, Step]:
    """All steps by name, the floor first; Hugging Face's where it is installed."""
    trial = build_trial(size, layer_norm)
    side = trial.vision.image_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH_SIZES[size], 3, side, side, generator=generator)
    steps = {
        FLOOR: floor_step(trial, images),
        "d2v, last block in full": our_step(trial, images, in_full=True),
        "d2v": our_step(trial, images),
    }
    try:
        steps["Hugging Face by hand"] = hugging_face_step(trial, images)
    except ImportError:
        print("transformers is not installed: its row is missing\n")
    return steps


def timed(step: Step) -> Times:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(steps: Mapping[str, Step], num_rounds: int) -> dict[str, list[Times]]:
    """Times per contender and round, after a warm-up."""
    for step in [*steps.values()] * WARM_UP:
        step()
    times: dict[str, list[Times]] = {name: [] for name in steps}
    names = list(steps)
    for i in range(num_rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(timed(steps[name]))
    return times


def table(times: Mapping[str, Sequence[Times]]) -> str:
    """Medians and extremes of the ratios to the floor, as Markdown."""
    lines = [
        "| step | CPU time / floor | wall time / floor | CPU s | wall s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, own in times.items():
        cells = [ratio(own, times[FLOOR], which) for which in (1, 0)]
        cells += [f"{statistics.median(t[i] for t in own):.3f}" for i in (1, 0)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(own: Sequence[Times], floor: Sequence[Times], which: int) -> str:
    """``median (min-max)`` over the rounds."""
    ratios = [a[which] / b[which] for a, b in zip(own, floor, strict=True)]
    middle = statistics.median(ratios)
    return f"{middle:.3f} ({min(ratios):.3f}-{max(ratios):.3f})"


def commit() -> str:
    """The short hash, and whether tracked files differ from it."""
    git = partial(
        subprocess.run,
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    head = git(["git", "rev-parse", "--short", "HEAD"]).stdout.strip() or "unknown"
    changed = git(["git", "status", "--porcelain", "-uno"]).stdout.strip()
    return f"{head} with uncommitted changes" if changed else head


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="seconds per step against a floor")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layer-norm", choices=["instance", "layer"], default="layer")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    times = measure(build_contenders(options.size, options.layer_norm), options.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{options.size}, batch {BATCH_SIZES[options.size]}, layer norm "
        f"{options.layer_norm}, {options.threads} threads, {options.rounds} rounds, "
        f"torch {torch.__version__}, commit {commit()}, peak of the process "
        f"{peak:.0f} MiB\n"
    )
    print(table(times))


if __name__ == "__main__":
    main()
