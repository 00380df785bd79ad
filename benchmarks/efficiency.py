"""What data2vec 2.0 saves: score against operations and against seconds.

    python -m benchmarks.efficiency --modality vision --data-root DATA
    python -m benchmarks.efficiency --modality vision --scale smoke --seeds 1 \
        --lengths 0.1 0.3 1

Both arms of the study ``data2vec2`` are trained for several shares of the recipe's
updates, each with a learning-rate schedule of its own, with the same seeds, in one
process, in turn, so that other work on the machine hits both alike. Operations are
counted (:mod:`d2v_core.costs`), seconds of the CPU are those of this process while it
trains. The factor at equal score is what one arm pays for the score that the other
reaches in its longest training, by linear interpolation between the points; the
untrained encoder is the point that costs nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ablations.layers import Layer, resolve
from ablations.library import load_study
from ablations.metrics import METRICS, Metric
from ablations.study.arms import Cell, Request, expand
from benchmarks.step import commit
from d2v_core.config import TrialConfig
from d2v_core.costs import estimate_cost
from d2v_core.modalities import modality_of
from d2v_core.training.events import Finished, Started, Trained
from d2v_core.trial import run_trial

STUDY = "data2vec2"
FIRST, SECOND = "data2vec", "data2vec 2.0"
UNTRAINED = "untrained"
COSTS = ("operations", "CPU seconds", "seconds")


@dataclass(frozen=True)
class Outcome:
    """One training.

    Attributes:
        arm: Label of the study's arm.
        length: Share of the recipe's updates; 0: untrained.
        updates: Their number.
        scores: By the metrics' names; those that were asked for.
        costs: By the names in :data:`COSTS`.
    """

    arm: str
    length: float
    updates: int
    scores: Mapping[str, float]
    costs: Mapping[str, float]


Curve = Sequence[tuple[float, float]]
"""Cost and score, from the cheapest on."""


def cost_of(score: float, curve: Curve, *, higher_is_better: bool) -> float | None:
    """The least cost at which a curve reaches a score; None: it never does."""
    sign = 1.0 if higher_is_better else -1.0
    before: tuple[float, float] | None = None
    for cost, reached in sorted(curve):
        gap = sign * (reached - score)
        if gap >= 0.0:
            if before is None:
                return cost
            last_cost, last = before
            share = (score - last) / (reached - last)
            return last_cost + share * (cost - last_cost)
        before = (cost, reached)
    return None


def factor(first: Curve, second: Curve, *, higher_is_better: bool) -> str:
    """How many times cheaper the second is, at the first's last score or its own."""
    (paid, wanted), (own, reached) = sorted(first)[-1], sorted(second)[-1]
    needed = cost_of(wanted, second, higher_is_better=higher_is_better)
    if needed:
        return f"{paid / needed:.2f} at {wanted:.2f}"
    if needed is not None:
        return f"{wanted:.2f} is no better than untrained"
    other = cost_of(reached, first, higher_is_better=higher_is_better)
    otherwise = "nothing" if other is None else f"{other / own:.2f} at {reached:.2f}"
    return f"{wanted:.2f} not reached; {otherwise}"


def cells(request: Request, lengths: Sequence[float]) -> Iterator[tuple[float, Cell]]:
    """Every arm at every length, seeds first, arms in turn."""
    planned = expand(load_study(STUDY), request).cells
    for seed in dict.fromkeys(cell.seed for cell in planned):
        own = {cell.arm.label: cell for cell in planned if cell.seed == seed}
        yield 0.0, own[UNTRAINED]
        for length in lengths:
            for arm in (FIRST, SECOND):
                yield length, own[arm]


def shortened(trial: TrialConfig, length: float) -> TrialConfig:
    """The trial with a share of its updates, and all that is told as one shrunk too."""
    steps = max(1, round(length * trial.training.num_steps))
    layers = [
        Layer(trial.model_dump(mode="json"), str),
        Layer.from_dotted({"training.num_steps": steps}, str),
    ]
    return resolve(getattr(trial, "modality"), layers)  # noqa: B009


def measured(
    length: float, cell: Cell, dataset: object, metrics: Sequence[Metric]
) -> Outcome:
    """Train and evaluate one cell."""
    trial = shortened(cell.trial, length) if length else cell.trial
    cost, cpu, started = estimate_cost(trial), 0.0, 0.0
    for event in run_trial(trial, dataset=dataset):  # type: ignore[arg-type]
        if isinstance(event, Started):
            started = time.process_time()
        if isinstance(event, Trained):
            cpu = time.process_time() - started
        if isinstance(event, Finished):
            result = event
    wall = result.metrics["cost/training_seconds"]
    spent = (0.0 if cost is None else cost.flops, cpu, wall)
    return Outcome(
        arm=cell.arm.label,
        length=length,
        updates=result.step,
        scores={one.name: result.metrics[one.logged_as] for one in metrics},
        costs=dict(zip(COSTS, spent if length else (0.0,) * 3, strict=True)),
    )


def curves(outcomes: Sequence[Outcome], cost: str, metric: str) -> dict[str, Curve]:
    """Means over seeds of each arm, the untrained encoder before both."""
    groups: dict[tuple[str, float], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.arm, one.length].append(one)
    by_arm: dict[str, list[tuple[float, float]]] = {FIRST: [], SECOND: []}
    for (arm, _), group in groups.items():
        mean = statistics.fmean(one.costs[cost] for one in group)
        point = (mean, statistics.fmean(one.scores[metric] for one in group))
        for name in by_arm if arm == UNTRAINED else [arm]:
            by_arm[name].append(point)
    return {name: sorted(points) for name, points in by_arm.items()}


def table(outcomes: Sequence[Outcome], metric: Metric) -> str:
    """Every arm and length, and the factors, as Markdown."""
    lines = [
        f"| arm | updates | {' | '.join(COSTS)} | {metric.title} (seeds) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    groups: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.arm, one.updates].append(one)
    for (arm, updates), group in sorted(groups.items()):
        mean = {c: statistics.fmean(one.costs[c] for one in group) for c in COSTS}
        own = [one.scores[metric.name] for one in group]
        scores = ", ".join(f"{score:.2f}" for score in own)
        average = statistics.fmean(own)
        spent = f"{mean[COSTS[0]]:.3g} | {mean[COSTS[1]]:.1f} | {mean[COSTS[2]]:.1f}"
        lines.append(f"| {arm} | {updates} | {spent} | {average:.2f} ({scores}) |")
    lines.append("")
    for cost in COSTS:
        by_arm = curves(outcomes, cost, metric.name)
        times = factor(
            by_arm[FIRST], by_arm[SECOND], higher_is_better=metric.higher_is_better
        )
        lines.append(f"- times cheaper at equal score, {cost}: {times}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description="what data2vec 2.0 saves")
    parser.add_argument("--modality", default="vision")
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--data-root")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lengths", type=float, nargs="+", default=[0.1, 0.3, 1.0])
    parser.add_argument("--metrics", nargs="+", help="names; default: the study's")
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    options = parser.parse_args(arguments)
    request = Request(
        options.modality,
        options.scale,
        assignments=tuple(options.assignments),
        seeds=tuple(range(options.seeds)),
        data_root=options.data_root,
    )
    names = options.metrics or [load_study(STUDY).metric_for(options.modality).name]
    metrics = [METRICS[options.modality][name] for name in names]
    outcomes: list[Outcome] = []
    dataset = None
    for length, cell in cells(request, options.lengths):
        dataset = dataset or modality_of(cell.trial).load_data(cell.trial)
        outcomes.append(measured(length, cell, dataset, metrics))
        last = outcomes[-1]
        scores = ", ".join(f"{name} {score:.2f}" for name, score in last.scores.items())
        place = f"{last.arm}, {last.updates} updates, seed {cell.seed}"
        print(f"# {place}: {scores}", flush=True)
    print(f"\n{options.modality}, {options.scale}, commit {commit()}")
    for metric in metrics:
        print(f"\n{table(outcomes, metric)}")


if __name__ == "__main__":
    main()
