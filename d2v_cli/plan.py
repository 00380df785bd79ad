"""``d2v plan``: what a run would do; nothing is trained or written."""

from __future__ import annotations

import typer
from rich.console import Console

from d2v_cli import options as o
from d2v_cli.commands import made_command


def plan(
    context: typer.Context,
    study: o.Studies,
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    seeds: o.Seeds = None,
    set_: o.Set = None,
    data_root: o.DataRoot = None,
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
    as_json: o.AsJson = False,
) -> None:
    """Show what a run would train, what is cached, and how long it would take."""
    from sweeps.plan.forecast import forecast
    from sweeps.plan.forecast_view import show_forecast
    from sweeps.plan.planning import plan_study
    from sweeps.tracking.stores import check_stores, choose_stores

    request = o.make_request(scale, modality, seeds, set_, data_root)
    plans = [plan_study(name, request, require_data=False) for name in study]
    stores = choose_stores(storage, tracking_uri)
    check_stores(stores, [each.name for each in plans])
    result = forecast(plans, stores)
    if as_json:
        o.print_json(result.as_dict())
        return
    console = Console()
    trials = [cell.trial for each in plans for cell in each.cells]
    o.note_unused_data_root(context, trials, console)
    show_forecast(result, console)
    options = {
        "--scale": scale,
        "--modality": modality,
        "--seeds": seeds,
        "--set": set_,
        "--data-root": data_root,
    }
    command = made_command("run", study, stores, options)
    console.print(f"to run it: {command}", markup=False, soft_wrap=True)
