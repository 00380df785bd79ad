"""Seconds per training step against a plain floor, interleaved, on the CPU.

    python -m benchmarks.step --size tiny --rounds 12 --layer-norm instance
    python -m benchmarks.step --modality speech --size 512-channels
    python -m benchmarks.step --modality text --size tiny --also bfloat16 compile

The floor is the same model forward and backward, one forward without gradients and
fused AdamW: no masks, targets, loss, EMA or clipping. For speech, torchaudio's
convolutions run once for both networks. Every round runs each contender
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

from benchmarks import speech, text, vision
from benchmarks.contenders import FLOOR, Step, other_steps

MODALITIES: dict[str, Any] = {"vision": vision, "speech": speech, "text": text}
WARM_UP = 2
Times = tuple[float, float]
"""Wall and CPU seconds of one step."""


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
    parser.add_argument("--modality", choices=MODALITIES, default="vision")
    sizes = [size for one in MODALITIES.values() for size in one.SIZES]
    parser.add_argument("--size", choices=sorted(set(sizes)))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layer-norm", choices=["instance", "layer"], default="layer")
    parser.add_argument(
        "--also", nargs="*", default=[], choices=["bfloat16", "compile"]
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    modality = MODALITIES[options.modality]
    size = options.size or list(modality.SIZES)[1]
    if size not in modality.SIZES:
        parser.error(f"--size must be one of {', '.join(modality.SIZES)}, got {size}")
    trial, inputs = modality.build_trial(size, options.layer_norm), modality.batch(size)
    steps = {
        **modality.contenders(trial, inputs),
        **other_steps(trial, inputs, options.also),
    }
    times = measure(steps, options.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{size}, batch {modality.BATCH_SIZES[size]}, layer norm "
        f"{options.layer_norm}, {options.threads} threads, {options.rounds} rounds, "
        f"torch {torch.__version__}, commit {commit()}, peak of the process "
        f"{peak:.0f} MiB\n"
    )
    print(table(times))


if __name__ == "__main__":
    main()
