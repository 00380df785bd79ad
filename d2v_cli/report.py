"""``d2v report``: tables and page from the tracking store alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    caption: Annotated[
        str,
        typer.Option(
            metavar="short|full",
            help="Of the table in LaTeX: two sentences, or with all methods.",
        ),
    ] = "short",
    verbose: Annotated[
        bool,
        typer.Option(help="Also print captions, notes and the evidence of verdicts."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document for programs.")
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
    if caption not in ("short", "full"):
        raise ConfigError([Problem("--caption", "must be short or full")])
    stores = choose_stores(storage, tracking_uri)
    names = [o.study_name(name) for name in study or []]
    check_stores(stores, names)
    console = Console(quiet=as_json)
    how: dict[str, Any] = {"verbose": verbose, "caption": caption}
    if everything:
        chosen = o.chosen(context, modality, scale)
        scorecard = _report_all(stores, console, chosen, **how)
        if as_json:
            _print_json(scorecard.reports, scorecard.files, scorecard.claims.faults)
        if scorecard.claims.faults:
            raise typer.Exit(1)
        return
    request = o.make_request(scale, modality, None, set_, None)
    reports = [
        show_study(name, request, stores, console, last=not set_, **how)
        for name in names
    ]
    if as_json:
        _print_json(reports)


def _report_all(
    stores: Any,
    console: Console,
    chosen: tuple[str | None, str | None],
    *,
    verbose: bool,
    caption: Any,
) -> Any:
    """Every report of the store, then the claims of all of them."""
    from reports.build import build_all
    from reports.claims.scorecard_formats import scorecard_console

    modality, scale = chosen
    scorecard = build_all(
        tracking_uri=stores.tracking_uri,
        folder=stores.storage / "reports",
        modality=modality,
        scale=scale,
        caption=caption,
        on_report=lambda report: show_report(report, console, verbose=verbose),
    )
    console.print(scorecard_console(scorecard.claims))
    page = scorecard.files["scorecard.html"]
    console.print(f"scorecard: {page}", soft_wrap=True, markup=False)
    return scorecard


def _print_json(
    reports: Sequence[Any],
    files: Mapping[str, Any] | None = None,
    faults: Sequence[Any] = (),
) -> None:
    """Everything that was reported, as one document."""
    import json

    from reports.document import report_document

    document = {
        "version": 1,
        "reports": [report_document(report) for report in reports],
        "files": {name: str(path) for name, path in (files or {}).items()},
        "faults": [str(fault) for fault in faults],
    }
    typer.echo(json.dumps(document, indent=1))
