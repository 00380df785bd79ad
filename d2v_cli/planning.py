"""``d2v studies``, ``schema`` and ``plan``: nothing is trained or written."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from d2v_cli import options as o
from d2v_cli.commands import made_command


def studies(
    check: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Check a study file of yours against the recipes of --scale instead.",
        ),
    ] = None,
    scale: o.Scale = "smoke",
    as_json: o.AsJson = False,
) -> None:
    """List the shipped studies, or check a file without running anything."""
    from ablations.library import load_study, study_names

    if check is not None:
        _check_study(check, scale)
        return
    loaded = [load_study(name) for name in study_names()]
    if as_json:
        o.print_json([study.model_dump(mode="json") for study in loaded])
        return
    table = Table("study", "title", "paper", "modalities", "seeds")
    for study in loaded:
        table.add_row(
            study.name,
            study.title,
            study.paper.places if study.paper else "–",
            ", ".join(study.metric),
            str(len(study.seed_list())),
        )
    Console().print(table)


def schema() -> None:
    """Print the JSON Schema of a study file: completion and help in editors."""
    from ablations.study.json_schema import study_schema

    o.print_json(study_schema())


def plan(
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
    else:
        console = Console()
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


def _check_study(file: str, scale: str) -> None:
    from ablations.study.validation import check_study_file

    sizes = [
        f"{size.num_arms} arms x {size.num_seeds} seeds for {size.modality}"
        for size in check_study_file(file, scale)
    ]
    sys.stdout.write(f"valid: {', '.join(sizes)} (scale {scale})\n")
