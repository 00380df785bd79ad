"""``d2v ui``: MLflow's own pages, opened at a study."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from d2v_cli import options as o


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
    from reports.store.links import CLASSIC, web_address
    from reports.store.mlflow_view import study_views
    from reports.store.runs import open_store
    from sweeps.tracking.server import (
        check_ui,
        is_served,
        open_soon,
        serve_ui,
        ui_address,
    )
    from sweeps.tracking.stores import check_stores, choose_stores

    console, stores = Console(), choose_stores(storage, tracking_uri)
    name = o.study_name(study) if study else None
    check_stores(stores, [name] if name else [])
    check_ui(stores, port)
    client, server = open_store(stores.tracking_uri), ui_address(stores, port)
    views = study_views(
        client,
        name,
        *o.chosen(context, modality, scale),
        on_fault=lambda fault: console.print(
            str(fault), style="red", markup=False, soft_wrap=True
        ),
    )
    links = []
    for view in views:
        view.publish(client)
        links.append((view.label, web_address(server, view.fragment)))
    if not study:
        everything = web_address(server, f"/experiments?{CLASSIC}")
        links.append(("all experiments", everything))
    for label, link in links:
        console.print(f"{label}: {link}", soft_wrap=True, markup=False)
    if open_:
        open_soon([str(link) for _, link in (links if study else links[-1:])])
    if not is_served(stores):
        console.print("(Ctrl-C ends the server)", style="dim")
        serve_ui(stores, port)
