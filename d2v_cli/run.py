"""``d2v run``: trains what the store lacks, then shows the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from d2v_cli import options as o
from d2v_cli.commands import typed_command
from d2v_cli.showing import print_reports, show_outcome, show_study
from d2v_cli.until import (
    MaxSeeds,
    UntilDecided,
    check_claims,
    chosen_looks,
    decision_lines,
    run_until_decided,
    seeds_option,
)

if TYPE_CHECKING:
    from sweeps.driver.outcome import Outcome
    from sweeps.driver.trainings import Keep
    from sweeps.planned import StudyPlan


def run(
    context: typer.Context,
    study: o.Studies,
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    seeds: o.Seeds = None,
    arm: o.Arms = None,
    set_: o.Set = None,
    data_root: o.DataRoot = None,
    recipe: o.Recipe = None,
    gpu_share: o.GpuShare = None,
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
    address: o.Address = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Launch no seed that would not be done in this time: 2h, 90m.",
        ),
    ] = None,
    keep_encoders: Annotated[
        str,
        typer.Option(metavar="WHICH", help="Trained encoders that stay: all, none."),
    ] = "all",
    probe_at: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES",
            help="Evaluate encoders that are trained now in the middle too, for curves "
            "of the score: 0.25,0.5,0.75.",
        ),
    ] = None,
    until_decided: UntilDecided = False,
    max_seeds: MaxSeeds = None,
    bars: o.Bars = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON document for programs at the end; the rest goes to "
            "standard error.",
        ),
    ] = False,
) -> None:
    """Train every trial the store lacks, then print the table and write the report.

    Trials that are already in the store are found by key and not trained again; of one
    that differs in its evaluation alone, the kept encoder is evaluated. A stopped run
    continues where it was.
    """
    assignments = [
        *(set_ or ()),
        *o.probe_assignment(probe_at),
        *o.gpu_assignment(gpu_share),
    ]
    looks = chosen_looks(until_decided, max_seeds, seeds)
    last = seeds_option(looks, seeds)
    run_and_show(
        context,
        study,
        o.make_request(context, scale, modality, last, assignments, data_root, recipe),
        Places(data_root, tracking_uri, storage, address),
        keep=o.parse_keep(keep_encoders),
        arms=arm,
        budget=budget,
        bars=bars,
        looks=looks,
        as_json=as_json,
    )


@dataclass(frozen=True)
class Places:
    """The options that say where, as given."""

    data_root: str | None
    tracking_uri: str | None
    storage: str | None
    address: str | None


def run_and_show(
    context: typer.Context,
    study: Sequence[str],
    request: Any,
    places: Places,
    *,
    trains: bool = True,
    keep: Keep = "all",
    arms: list[str] | None = None,
    budget: str | None = None,
    bars: bool = False,
    looks: tuple[int, ...] = (),
    as_json: bool = False,
) -> None:
    """What ``d2v run`` does, and ``d2v evaluate``, which trains nothing."""
    from sweeps.driver.waiting import busy

    console = Console(stderr=as_json)
    with busy(console, "reading what is asked for"):
        from ablations.study.arms import expand_named
        from sweeps.plan.durations import parse_budget
        from sweeps.ray.session import RaySession
        from sweeps.tracking.stores import check_address, check_stores, choose_stores

        budget_seconds = parse_budget(budget) if budget is not None else None
        studies = [expand_named(name, request) for name in study]
        wanted = o.chosen_arms(arms, studies)
        if looks:
            check_claims(studies, wanted)
        trials = [cell.trial for each in studies for cell in each.cell_of_each_arm]
        o.check_data_root(context, trials, console)
        stores = choose_stores(places.storage, places.tracking_uri)
        check_stores(stores, [each.study.name for each in studies])
        check_address(places.address)
    with RaySession(places.address, stores) as session:
        if (
            stores.is_new and trains and budget is None
        ):  # which would time steps beside it
            # All has to be trained: Ray starts while the rest is read.
            session.begin()
        with busy(console, "planning"):
            if places.address in (None, "local"):
                o.note_unused_gpu(trials, console)  # imports torch: 2 s
            from sweeps.driver.run import run_studies
            from sweeps.driver.trainings import TrainingPolicy
            from sweeps.plan.planning import plan_expanded, seed_warning  # torch: 2 s

            plans = [replace(plan_expanded(each), looks=looks) for each in studies]
        notes = {each.note for each in studies} - {""}
        for warning in {seed_warning(p.seeds) for p in plans} - {None} | notes:
            note = f"note: {warning}"
            console.print(note, style="yellow", markup=False, soft_wrap=True)

        def run_within(plans: Sequence[StudyPlan], seconds: float | None) -> Outcome:
            return run_studies(
                plans,
                stores,
                session,
                command=typed_command(stores, places.data_root),
                console=console,
                budget_seconds=seconds,
                bars=bars,
                policy=TrainingPolicy(trains, keep, wanted),
            )

        outcome = (
            run_until_decided(plans, stores, run_within, console, budget_seconds)
            if looks
            else run_within(plans, budget_seconds)
        )
    reports = [show_study(each.name, request, stores, console) for each in plans]
    show_outcome(outcome, stores, console)
    for report in reports if looks else ():
        for line in decision_lines(report):
            console.print(line, markup=False, soft_wrap=True)
    if as_json:
        print_reports(reports, run=outcome.document())
    if outcome.failed or outcome.interrupted or outcome.lacking:
        raise typer.Exit(1)
