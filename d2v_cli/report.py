"""``d2v report``: tables and page from what is stored alone, and records of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
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
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Read a file of records (docs/results/records.parquet) instead of a "
            "store.",
        ),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what reports need of these studies into a file of records, "
            "made if need be; other studies in it stay.",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Say which verdicts and scores agree with those in a file of records; "
            "exit code 1 where a verdict does not.",
        ),
    ] = None,
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
    if records is not None and compare is not None:
        raise ConfigError([Problem("--compare", "must stand without --records")])
    if compare is not None and everything:
        raise ConfigError([Problem("--compare", "must stand with studies, not --all")])
    if from_ is not None and o.is_typed(context, "tracking_uri"):
        raise ConfigError([Problem("--from", "must stand without --tracking-uri")])
    # Where a file is read, the store that the environment names is not asked.
    stores = choose_stores(storage, None if from_ else tracking_uri)
    names = [o.study_name(name) for name in study or []]
    source: Any = None
    if from_ is None:
        check_stores(stores, names)
    else:
        from reports.store.records import RecordsReader

        source = RecordsReader(from_)
    request = o.make_request(scale, modality, None, set_, None)
    chosen = o.chosen(context, modality, scale)
    console = Console()
    if records is not None:
        _write_records(records, stores, source, names, request, chosen, console)
    elif compare is not None:
        _compare(compare, stores, source, names, request, console)
    elif everything:
        _report_all(stores, console, *chosen, source)
    else:
        for name in names:
            show_study(name, request, stores, console, last=not set_, records=source)


def _report_all(
    stores: Any,
    console: Console,
    modality: str | None,
    scale: str | None,
    records: Any,
) -> None:
    """Every report of the store, then the claims of all of them."""
    from reports.build import build_all
    from reports.claims.scorecard import scorecard_console

    scorecard = build_all(
        tracking_uri="" if records else stores.tracking_uri,
        records=records,
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


def _write_records(
    file: Path,
    stores: Any,
    records: Any,
    names: Sequence[str],
    request: Any,
    chosen: tuple[str | None, str | None],
    console: Console,
) -> None:
    """The studies named, or all that were chosen, into a file."""
    from reports.recording import export_records
    from reports.store.manifests import all_manifests, find_manifest, no_study
    from reports.store.runs import open_store
    from sweeps.planned import id_of_request

    source = records or open_store(stores.tracking_uri)

    def find(name: str) -> Any:
        wanted = id_of_request(name, request) if request.assignments else None
        return find_manifest(source, name, request.modality, request.scale, wanted)

    def refuse(fault: Exception) -> None:
        raise fault

    # A file that is to be committed has all that was asked for, or is not written.
    planned = [find(name) for name in names] or all_manifests(
        source, *chosen, on_fault=refuse
    )
    if not planned:
        raise no_study(*chosen)
    written = export_records(source, planned, file, "--records")
    console.print(
        f"records: {file} ({written.sentence()})", soft_wrap=True, markup=False
    )


def _compare(
    file: Path,
    stores: Any,
    records: Any,
    names: Sequence[str],
    request: Any,
    console: Console,
) -> None:
    """Print how the studies named compare with a file of records."""
    from d2v_core.errors import ConfigError, Problem
    from reports.compare import compare_study
    from reports.store.records import RecordsReader
    from reports.store.runs import open_store
    from reports.text import for_terminal
    from sweeps.planned import id_of_request

    recorded = RecordsReader(file, "--compare")
    here = records or open_store(stores.tracking_uri)
    place = (request.modality, request.scale)
    agrees = True
    for name in names:
        wanted = id_of_request(name, request) if request.assignments else None
        found = compare_study(here, recorded, name, *place, wanted)
        if found is None:
            message = f"must have a seed of {name} that was run here too, got none"
            raise ConfigError([Problem("--compare", message)])
        for line in found.lines():
            console.print(for_terminal(line), soft_wrap=True)
        agrees &= found.agrees
    if not agrees:
        raise typer.Exit(1)
