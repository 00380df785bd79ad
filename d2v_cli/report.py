"""``d2v report``: tables and page from the tracking store alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from d2v_cli import options as o
from d2v_cli.showing import show_report, show_study


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
        requirement = "give studies, with or without --set, or --all alone"
        raise ConfigError([Problem("d2v report", requirement)])
    stores = choose_stores(storage, tracking_uri)
    names = [o.study_name(name) for name in study or []]
    check_stores(stores, names)
    if everything:
        _report_all(stores, Console(), *o.chosen(context, modality, scale))
        return
    request = o.make_request(scale, modality, None, set_, None)
    for name in names:
        show_study(name, request, stores, Console(), last=not set_)


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
        on_report=lambda report: show_report(report, console),
    )
    console.print(scorecard_console(scorecard.claims))
    page = scorecard.files["scorecard.html"]
    console.print(f"scorecard: {page}", soft_wrap=True, markup=False)
    if scorecard.claims.faults:
        raise typer.Exit(1)
