"""``d2v report`` and ``ui``: what the store says."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from d2v_cli import options as o


def report(
    context: typer.Context,
    study: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY...]", help="Studies of the store, by name."),
    ] = None,
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    set_: o.Set = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every study of the store, and a scorecard of the paper's claims, "
            "run or not, and yours; --scale and --modality, if given, choose among "
            "them.",
        ),
    ] = False,
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
) -> None:
    """Rebuild the tables and the HTML page from the tracking store alone.

    Of several runs of a study that differ in --set, the last one is shown; give the
    same --set for another.
    """
    from d2v_core.errors import ConfigError, Problem
    from sweeps.tracking.stores import check_stores, choose_stores

    if everything == bool(study) or (everything and set_):
        rule = "give studies, with or without --set, or --all alone"
        raise ConfigError([Problem("d2v report", rule)])
    stores = choose_stores(storage, tracking_uri)
    names = [_study_name(name) for name in study or []]
    check_stores(stores, names)
    if everything:
        _report_all(stores, Console(), *_chosen(context, modality, scale))
        return
    request = o.make_request(scale, modality, None, set_, None)
    for name in names:
        show_study(name, request, stores, Console(), last=not set_)


def ui(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY]", help="A study of the store, by name."),
    ] = None,
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    open_: Annotated[
        bool,
        typer.Option(
            "--open", help="Open the study, or the list of all, in the browser too."
        ),
    ] = False,
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)
    ] = 5000,
) -> None:
    """Serve the tracking store with MLflow's own UI on 127.0.0.1.

    Prints a link for every study, or for the one given: its trials by arm, with the
    metric that counts. --scale and --modality, if given, choose among them.
    """
    from reports.store.frames import open_store
    from reports.store.links import web_address
    from reports.store.mlflow_view import study_views
    from sweeps.tracking.server import (
        check_ui,
        is_served,
        open_soon,
        serve_ui,
        ui_address,
    )
    from sweeps.tracking.stores import check_stores, choose_stores

    console, stores = Console(), choose_stores(storage, tracking_uri)
    name = _study_name(study) if study else None
    check_stores(stores, [name] if name else [])
    check_ui(stores, port)
    client, server = open_store(stores.tracking_uri), ui_address(stores, port)
    views = study_views(
        client,
        name,
        *_chosen(context, modality, scale),
    )
    links = []
    for view in views:
        view.publish(client)
        links.append((view.label, web_address(server, view.fragment)))
    if not study:
        fragment = "/experiments?workflowType=machine_learning"
        links.append(("all experiments", web_address(server, fragment)))
    for label, link in links:
        console.print(f"{label}: {link}", soft_wrap=True, markup=False)
    if open_:
        open_soon([str(link) for _, link in (links if study else links[-1:])])
    if not is_served(stores):
        console.print("(Ctrl-C ends the server)", style="dim")
        serve_ui(stores, port)


def show_study(
    study: str, request: Any, stores: Any, console: Console, *, last: bool = False
) -> None:
    """Build, print and place the report of a request, or of the last one there is."""
    from reports.build import build_report
    from sweeps.plan.planning import id_of_request

    wanted = id_of_request(study, request)
    parts = [study, request.modality, request.scale]
    if request.assignments:
        parts.append(wanted[:8])
    built = build_report(
        tracking_uri=stores.tracking_uri,
        study=study,
        modality=request.modality,
        scale=request.scale,
        folder=stores.storage / "reports" / "-".join(parts),
        request_id=None if last else wanted,
    )
    _show_report(built, console)


def _report_all(
    stores: Any, console: Console, modality: str | None, scale: str | None
) -> None:
    """Every report of the store, then the claims of all of them."""
    from reports.build import build_all
    from reports.claims.scorecard import scorecard_console

    scorecard = build_all(
        tracking_uri=stores.tracking_uri,
        folder=stores.storage / "reports",
        modality=modality,
        scale=scale,
        on_report=lambda report: _show_report(report, console),
    )
    console.print(scorecard_console(scorecard.claims))
    page = scorecard.files["scorecard.html"]
    console.print(f"scorecard: {page}", soft_wrap=True, markup=False)


def _show_report(report: Any, console: Console) -> None:
    from reports.claims.view import claims_console
    from reports.tables.console import console_view

    console.print(console_view(report.table))
    if report.verdicts:
        console.print(claims_console(report.verdicts))
    page = report.files["report.html"]
    console.print(f"report: {page}", soft_wrap=True, markup=False)


def _chosen(
    context: typer.Context, modality: str, scale: str
) -> tuple[str | None, str | None]:
    """Modality and scale; None where the option was not given."""

    def given(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name != "DEFAULT"

    return (
        modality if given("modality") else None,
        scale if given("scale") else None,
    )


def _study_name(study: str) -> str:
    """The name in the store: of a YAML file, the one written inside."""
    from ablations.library import load_study

    return load_study(study).name if study.endswith((".yaml", ".yml")) else study
