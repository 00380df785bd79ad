"""How fast the recipes for a GPU are there: updates, waits, MFU, several on one card.

    python -m benchmarks.cuda_speed time --modality vision --recipe vision-paper
    python -m benchmarks.cuda_speed share --modality speech --together 1 4 8

``time``: milliseconds of an update with noise as data, beside the plain forward and
backward passes of the same networks; kernels and how long the device is busy with them;
where the CPU waits for the device; the share of the peak that the counted operations
make of it (MFU), if ``--peak`` names it. ``share``: updates and trials an hour of
several whole trials at once, which tells what part of a GPU a trial should reserve.
``--device cpu`` tries the script itself.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import math
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.cuda_check import MODALITIES, trial_of
from d2v_core.build import build_objective
from d2v_core.config import TrialConfig
from d2v_core.costs import estimate_cost
from d2v_core.encoders.inputs import Inputs
from d2v_core.modalities import modality_of
from d2v_core.training.checkpoint import TrainingState
from d2v_core.training.events import Progress
from d2v_core.training.loop import apply_gradients, mixed_precision
from d2v_core.training.optimizer import build_optimizer
from d2v_core.trial import run_trial

WARM_UP = 5
Update = Callable[[], None]


def noise_like(trial: TrialConfig) -> Inputs:
    """Noise in the shape of a batch, on the CPU."""
    example: Any = modality_of(trial).example(trial, trial.training.batch_size)
    generator = torch.Generator().manual_seed(0)
    if torch.is_tensor(example):
        return torch.randn(example.shape, generator=generator)
    shape = example.values.shape
    if example.values.is_floating_point():
        return replace(example, values=torch.randn(shape, generator=generator))
    vocab_size = getattr(trial, "text").vocab_size  # noqa: B009
    ids = torch.randint(5, vocab_size, shape, generator=generator)
    fixed = torch.as_tensor(example.fixed)  # special tokens stay
    return replace(example, values=torch.where(fixed, example.values, ids))


def whole_update(trial: TrialConfig, device: torch.device) -> Update:
    """An update of the training loop, masks included."""
    objective = build_objective(trial, num_classes=2)
    objective.to(device)
    objective.module.train()
    state = TrainingState(objective, build_optimizer(objective.module, trial.optimizer))
    parameters, on_cpu, step = list(objective.module.parameters()), noise_like(trial), 0
    inputs = on_cpu.to(device)

    def update() -> None:
        nonlocal step
        step += 1
        draw = objective.draw(on_cpu, step).to(device, non_blocking=True)
        with mixed_precision(device, trial.training.precision):
            loss = objective.loss(inputs, None, draw, step).loss
        torch.autograd.backward(loss)
        norm = trial.optimizer.max_grad_norm or math.inf
        torch.nn.utils.clip_grad_norm_(parameters, norm)
        apply_gradients(state, step)

    return update


def plain_update(trial: TrialConfig, device: torch.device) -> Update:
    """Student forward and backward, teacher forward, optimiser: nothing else."""
    objective = build_objective(trial, num_classes=2)
    objective.to(device)
    optimizer = build_optimizer(objective.module, trial.optimizer)
    student, teacher = (objective.network(which) for which in ("student", "teacher"))
    inputs = noise_like(trial).to(device)

    def update() -> None:
        with mixed_precision(device, trial.training.precision):
            with torch.no_grad():
                teacher.encode(teacher.embed(inputs))
            tokens = student.encode(student.embed(inputs)).tokens
            loss = tokens.float().square().mean()
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return update


def synchronise(device: torch.device) -> None:
    """Wait for what was given to the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def milliseconds(update: Update, device: torch.device, number: int) -> float:
    """Wall time of one update, the mean of several after a warm-up."""
    for _ in range(min(WARM_UP, number)):
        update()
    synchronise(device)
    began = time.perf_counter()
    for _ in range(number):
        update()
    synchronise(device)
    return (time.perf_counter() - began) / number * 1e3


def busy(update: Update, number: int = 3) -> tuple[float, int]:
    """Milliseconds that kernels of one update run, and how many they are."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiled:
        for _ in range(number):
            update()
        torch.cuda.synchronize()
    events = [e for e in profiled.events() or () if e.device_type == DeviceType.CUDA]
    spent = sum(event.time_range.elapsed_us() for event in events)
    return spent / number / 1e3, len(events) // number


def waits(update: Update) -> dict[str, int]:
    """Where one update makes the CPU wait for the GPU, as PyTorch sees it."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            update()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    places = (
        re.sub(r".*/(d2v_core|torch|timm)/", r"\1/", f"{one.filename}:{one.lineno}")
        for one in caught
        if "synchroniz" in str(one.message)
    )
    return dict(collections.Counter(places))


def time_one(
    trial: TrialConfig, device: torch.device, number: int, peak: float
) -> Iterator[str]:
    """What is known of the recipe's update, a line at a time."""
    floor = milliseconds(plain_update(trial, device), device, number)
    yield f"plain floor {floor:.2f} ms"
    update = whole_update(trial, device)
    spent = milliseconds(update, device, number)
    yield f"an update   {spent:.2f} ms"
    if cost := estimate_cost(trial):
        rate = cost.flops / trial.training.num_steps / spent * 1e3
        used = f", {100.0 * rate / peak / 1e12:.0f} % of the peak" if peak else ""
        yield f"            {rate / 1e12:.3g} TFLOP/s counted{used}"
    if device.type == "cuda":
        kernels_ms, kernels = busy(update)
        yield f"            busy {kernels_ms:.2f} ms with {kernels} kernels"
        places = [f"{times}x {place}" for place, times in waits(update).items()]
        yield f"            waits: {', '.join(places) or 'none'}"
        peak_mib = torch.cuda.max_memory_allocated() / 2**20
        yield f"            {peak_mib:.0f} MiB at most"


def share(arguments: Sequence[str], together: int, seconds: float) -> str:
    """Updates per second of several trials at once, each a process with its data."""
    threads = max(1, (os.cpu_count() or 1) // together)
    command = [sys.executable, "-m", "benchmarks.cuda_speed", "one", *arguments]
    command += ["--seconds", str(seconds), "--set", f"execution.num_threads={threads}"]
    workers = [
        subprocess.Popen(
            command,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        for _ in range(together)
    ]
    try:
        ready = [w.stdout.readline() for w in workers if w.stdout]
        for worker in workers:  # all are at work before one is timed
            with contextlib.suppress(OSError):
                print("go", file=worker.stdin, flush=True)
        lines = [w.stdout.readline() for w in workers if w.stdout]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    died = sum(not line for line in (*ready, *lines))
    rates = [tuple(map(float, line.split())) for line in lines if line]
    total = sum(rate for rate, _ in rates)
    hourly = sum(3600.0 * rate / num_steps for rate, num_steps in rates)
    lost = f", {died} died" if died else ""
    return f"{together:3} at once: {total:8.1f} updates/s, {hourly:.1f} trials/h{lost}"


def one(trial: TrialConfig, seconds: float) -> None:
    """Say when the trial runs, wait for a word, then count its updates for a while."""
    first, began, length = 0, 0.0, trial.training.num_steps
    changes: dict[str, Any] = {"num_steps": 10**6}
    training = trial.training.model_copy(update=changes)
    for event in run_trial(trial.model_copy(update={"training": training})):
        if not isinstance(event, Progress):
            continue
        if not began:
            print("ready", flush=True)
            sys.stdin.readline()
            first, began = event.step, time.perf_counter()
        elif (passed := time.perf_counter() - began) >= seconds:
            print((event.step - first) / passed, length, flush=True)
            return


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="how fast a GPU trains the recipes")
    parser.add_argument("stage", choices=("time", "share", "one"))
    parser.add_argument("--modality", choices=MODALITIES, default="vision")
    parser.add_argument("--recipe", help="default: MODALITY-gpu")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--updates", type=int, default=25, help="timed updates")
    parser.add_argument("--peak", type=float, default=0.0, help="TFLOP/s of the card")
    parser.add_argument("--together", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--seconds", type=float, default=6.0, help="of each share")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    options = parser.parse_args(arguments)
    recipe, device = options.recipe or f"{options.modality}-gpu", options.device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here; --device cpu tries the script itself")
    settings = [f"execution.device={device}", "health.on_collapse=continue"]
    settings += ["execution.log_every=10", *options.settings]
    if options.stage == "one":
        one(trial_of(recipe, *settings), options.seconds)
        return
    print(f"{recipe} on {device}, torch {torch.__version__}")
    if options.stage == "time":
        trial = trial_of(recipe, *settings)
        where = torch.device(device)
        for line in time_one(trial, where, options.updates, options.peak):
            print(line, flush=True)
    else:
        passed = ["--recipe", recipe, "--device", device]
        passed += [word for one in options.settings for word in ("--set", one)]
        for together in options.together:
            print(share(passed, together, options.seconds), flush=True)


if __name__ == "__main__":
    main()
