"""A forecast for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from ablations.identity import SCHEMA_VERSION
from ablations.record import ManifestCell
from sweeps.plan.costing import cost_line, gpu_hours, people_bytes, people_hours
from sweeps.plan.deleted import deleted_note
from sweeps.plan.durations import duration
from sweeps.plan.forecast import Forecast
from sweeps.plan.planning import seed_warning


def show_forecast(result: Forecast, console: Console) -> None:
    """Print a forecast for people.

    A trial counts in the first row that has it and is ``shared`` in later ones, so that
    columns add up.
    """
    table = Table(
        *(Column("study", no_wrap=True), "arm"),
        *("seeds", "cached", "shared", "train", "evaluate", "each"),
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    counted: set[str] = set()
    to_train = set(result.to_train)
    for plan in result.plans:
        for arm in plan.expanded.arms:
            keys = [cell.key for cell in plan.cells if cell.arm.label == arm.label]
            new = set(keys) - counted
            missing = [key for key in new if key not in result.cached]
            counted |= new
            trains = len(to_train.intersection(missing))
            numbers = (len(keys), len(new) - len(missing), len(keys) - len(new))
            table.add_row(
                plan.name,
                arm.label,
                *map(str, (*numbers, trains, len(missing) - trains)),
                _price(result, missing),
            )
    console.print(table)
    if len(counted) < result.num_cells:
        console.print("shared: the same trials as in rows above", style="dim")
    for line in summary(result):
        console.print(line, markup=False, soft_wrap=True)


def _removed(study: str, cells: Sequence[ManifestCell]) -> Iterator[str]:
    """Which stored trials the table does not have, and why."""
    outdated = sum(cell.schema_version < SCHEMA_VERSION for cell in cells)
    if outdated:
        yield (
            f"{study}: {outdated} trials of an earlier run stay in the store and are "
            "not used: their keys are older than schema version "
            f"{SCHEMA_VERSION}, which changed what a setting, metric or key means"
        )
    counts = Counter(c.arm for c in cells if c.schema_version == SCHEMA_VERSION)
    if counts:
        arms = ", ".join(f"{arm}: {number}" for arm, number in counts.items())
        yield (
            f"{study}: {counts.total()} trials of an earlier run stay in the store and "
            f"leave the table ({arms})"
        )


def _price(result: Forecast, keys: Sequence[str]) -> str:
    """Price of the costliest of these trials: time here, else on a GPU."""
    if seconds := [result.seconds[key] for key in keys if key in result.seconds]:
        return duration(max(seconds))
    hours = [
        gpu_hours(result.costs[key], result.unique[key].trial)
        for key in keys
        if key in result.costs
    ]
    return people_hours(max(hours)).removeprefix("about ") if hours else "–"


def summary(result: Forecast) -> Iterator[str]:
    """What stands below the table."""
    yield (
        f"{result.num_cells} cells, {len(result.unique)} unique trials, "
        f"{len(result.cached)} cached, {len(result.to_train)} to train, "
        f"{len(result.to_evaluate)} to evaluate"
    )
    if result.to_train:
        yield (
            f"the encoders of {len(result.to_train)} trainings take about "
            f"{people_bytes(result.encoder_bytes)} of disk"
        )
    for study, cells in result.removed.items():
        yield from _removed(study, cells)
    for study, deleted in result.deleted.items():
        yield deleted_note(study, deleted)
    for problem in result.data_problems:
        yield (
            "the data is not here, so keys are unknown and nothing counts as cached: "
            f"{problem}"
        )
    costs = {k: (cost, result.unique[k].trial) for k, cost in result.costs.items()}
    if line := cost_line(costs):
        yield line
    if result.missing and result.wall_seconds is not None:
        yield (
            f"about {duration(result.wall_seconds)} on this machine, "
            f"{result.num_parallel_trials} trials at a time (from {result.basis}; "
            "Ray's start comes on top)"
        )
    elif result.to_train and result.gpu_hours is not None:
        yield (
            f"all {len(result.to_train)} trainings: {people_hours(result.gpu_hours)}; "
            "how long this machine takes is known once one has finished"
        )
    for plan in result.plans:
        notes = (plan.expanded.note, seed_warning(plan.seeds))
        yield from (f"{plan.name}: {note}" for note in notes if note)
