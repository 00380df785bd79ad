"""What ``d2v plan --until-decided`` shows: looks, their cost, and chances to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from d2v_cli.until import results_so_far

if TYPE_CHECKING:
    from sweeps.plan.forecast import Forecast
    from sweeps.planned import StudyPlan
    from sweeps.tracking.stores import Stores


@dataclass(frozen=True)
class ForeseenStudy:
    """A study with its looks ahead.

    Attributes:
        plan: With all seeds that it can still get: none for arms that have stopped.
        chances: By claim, the chance to be decided by each look; None: unknown.
    """

    plan: StudyPlan
    chances: Mapping[str, tuple[float, ...] | None]


def foresee(plan: StudyPlan, stores: Stores) -> ForeseenStudy:
    """Look at what the store has of a study with looks."""
    from reports.claims.next_seeds import chances, seeds_at_most

    result, manifest = results_so_far(plan, stores)
    most = seeds_at_most(result, manifest)
    return ForeseenStudy(plan.with_seeds(most), chances(result, manifest))


@dataclass(frozen=True)
class LookAhead:
    """One look, if no arm stops before it.

    Attributes:
        seeds: Its seeds.
        level: Its two-sided level.
        num_missing: Trials to run up to it, those of the looks before it among them.
        seconds: Estimated wall-clock of these here; None: not known.
        gpu_hours: Hours of one GPU for the trainings among them; None: not known.
    """

    seeds: int
    level: float
    num_missing: int
    seconds: float | None
    gpu_hours: float | None


def looks_ahead(foreseen: Sequence[ForeseenStudy], result: Forecast) -> list[LookAhead]:
    """The looks of all studies together, with what they cost up to each."""
    from reports.statistics.spending import nominal_levels
    from sweeps.plan.costing import gpu_hours

    looks, ahead = foreseen[0].plan.looks, []
    missing, trained = set(result.missing), set(result.to_train)
    for look, level in zip(looks, nominal_levels(looks), strict=True):
        keys = {
            cell.key
            for each in foreseen
            for cell in each.plan.cells
            if cell.seed in each.plan.seeds[:look]
        } & missing
        hours = None
        if (keys & trained) <= result.costs.keys():
            of_each = (
                gpu_hours(result.costs[key], result.unique[key].trial)
                for key in keys & trained
            )
            hours = sum(of_each)
        seconds = None
        if keys <= result.seconds.keys():
            of_all = sum(result.seconds[key] for key in keys)
            seconds = of_all / result.num_parallel_trials
        ahead.append(LookAhead(look, level, len(keys), seconds, hours))
    return ahead


def looks_dict(foreseen: Sequence[ForeseenStudy], result: Forecast) -> dict[str, Any]:
    """For ``--json``: nothing without looks."""
    if not foreseen:
        return {}
    return {
        "looks": [
            {
                "seeds": look.seeds,
                "level": look.level,
                "missing": look.num_missing,
                "estimated_seconds": look.seconds,
                "gpu_hours": look.gpu_hours,
            }
            for look in looks_ahead(foreseen, result)
        ],
        "chances_to_decide": {each.plan.name: dict(each.chances) for each in foreseen},
    }


def show_looks(
    foreseen: Sequence[ForeseenStudy], result: Forecast, console: Console
) -> None:
    """Print the looks, and under each the chance to have decided a claim by then."""
    if not foreseen:
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from sweeps.plan.costing import people_hours
    from sweeps.plan.durations import duration

    ahead = looks_ahead(foreseen, result)
    heads = (Column(f"{look.seeds} seeds", justify="right") for look in ahead)
    style = {"show_edge": False, "pad_edge": False}
    table = Table("up to the look at", *heads, box=SIMPLE_HEAD, **style)  # type: ignore[arg-type]

    def cost(look: LookAhead) -> str:
        if look.seconds is not None:
            return duration(look.seconds)
        return "unknown" if look.gpu_hours is None else people_hours(look.gpu_hours)

    table.add_row("level", *(f"{look.level:.3g}" for look in ahead))
    table.add_row("trials to run, at most", *(str(look.num_missing) for look in ahead))
    table.add_row("time, at most", *map(cost, ahead), end_section=True)
    for each in foreseen:
        for claim, chances in each.chances.items():
            shown = ["unknown"] * len(ahead)
            if chances is not None:
                shown = [f"{100 * chance:.0f} %" for chance in chances]
            table.add_row(f"{each.plan.name}: {claim}", *shown)
    console.print()
    console.print(table)
    console.print(
        "chance to have decided a claim by then, if effect and spread are what the "
        "finished seeds show (unknown: fewer than three of them); at most: arms stop "
        "once no undecided claim needs them",
        style="dim",
        soft_wrap=True,
    )
