"""``d2v plan``: what a run would do; nothing is trained or written."""

from __future__ import annotations

from dataclasses import replace

import typer
from rich.console import Console

from d2v_cli import options as o
from d2v_cli.commands import made_command
from d2v_cli.look_plans import foresee, looks_dict, show_looks
from d2v_cli.until import (
    OPTION,
    MaxSeeds,
    UntilDecided,
    check_claims,
    chosen_looks,
    seeds_option,
)


def plan(
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
    until_decided: UntilDecided = False,
    max_seeds: MaxSeeds = None,
    as_json: o.AsJson = False,
) -> None:
    """Show what a run would train, what is cached, and how long it would take."""
    from ablations.study.arms import expand_named
    from sweeps.plan.forecast import forecast
    from sweeps.plan.forecast_view import show_forecast
    from sweeps.plan.planning import plan_expanded
    from sweeps.tracking.stores import check_stores, choose_stores

    looks = chosen_looks(until_decided, max_seeds, seeds)
    last = seeds_option(looks, seeds)
    settings = [*(set_ or ()), *o.gpu_assignment(gpu_share)]
    request = o.make_request(
        context, scale, modality, last, settings, data_root, recipe
    )
    studies = [expand_named(name, request) for name in study]
    wanted = o.chosen_arms(arm, studies)
    if looks:
        check_claims(studies, wanted)
    whole = [plan_expanded(each, require_data=False) for each in studies]
    plans = [replace(each, looks=looks).with_arms(wanted) for each in whole]
    stores = choose_stores(storage, tracking_uri)
    check_stores(stores, [each.name for each in plans])
    foreseen = [foresee(plan, stores) for plan in plans] if looks else []
    result = forecast([each.plan for each in foreseen] or plans, stores)
    if as_json:
        o.print_json(result.as_dict() | looks_dict(foreseen, result))
        return
    console = Console()
    trials = [cell.trial for each in plans for cell in each.cells]
    o.note_unused_data_root(context, trials, console)
    o.note_unused_gpu(trials, console)
    show_forecast(result, console)
    show_looks(foreseen, result, console)
    options = {
        "--recipe": recipe,
        "--scale": None if recipe else scale,
        "--modality": None if recipe else modality,
        "--seeds": seeds,
        "--arm": arm,
        "--max-seeds": str(looks[-1]) if looks else None,
        "--set": request.assignments,
        "--data-root": data_root,
        "--gpu-share": None if gpu_share is None else f"{gpu_share:g}",
    }
    command = made_command("run", [*study, OPTION] if looks else study, stores, options)
    console.print(f"to run it: {command}", markup=False, soft_wrap=True)
