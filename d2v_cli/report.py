"""``d2v report``: tables and page from what is stored alone, and records of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from d2v_cli import options as o
from d2v_cli.showing import print_reports, show_report, show_study


def report(
    context: typer.Context,
    study: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY...]", help="Studies of the store, by name."),
    ] = None,
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    set_: o.Set = None,
    recipe: o.Recipe = None,
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
    caption: Annotated[
        str,
        typer.Option(
            metavar="short|full",
            help="Of the table in LaTeX: two sentences, or with all methods.",
        ),
    ] = "short",
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", help="Also print captions, notes and the evidence of verdicts."
        ),
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

    broken = {
        "give studies, with or without --set, or --all alone": everything == bool(study)
        or (everything and bool(set_)),
        "--caption must be short or full": caption not in ("short", "full"),
        "--compare must stand without --records": bool(records and compare),
        "--compare must stand with studies, not --all": bool(compare and everything),
        "--from must stand without --tracking-uri": from_ is not None
        and o.is_typed(context, "tracking_uri"),
    }
    for requirement, is_broken in broken.items():
        if is_broken:
            raise ConfigError([Problem("d2v report", requirement)])
    # Where a file is read, the store that the environment names is not asked.
    stores = choose_stores(storage, None if from_ else tracking_uri)
    names = [o.study_name(name) for name in study or []]
    source: Any = None if from_ is None else _read_records(from_)
    if source is None:
        check_stores(stores, names)
    request = o.make_request(context, scale, modality, None, set_, recipe=recipe)
    chosen = o.chosen(context, modality, scale)
    console = Console(quiet=as_json)
    how: dict[str, Any] = {"verbose": verbose, "caption": caption, "records": source}
    if records is not None:
        _write_records(records, stores, source, names, request, chosen, console)
    elif compare is not None:
        _compare(compare, stores, source, names, request, console)
    elif everything:
        scorecard = _report_all(stores, console, chosen, **how)
        if as_json:
            faults = scorecard.claims.faults
            print_reports(scorecard.reports, scorecard.files, faults)
        raise typer.Exit(1 if scorecard.claims.faults else 0)
    else:
        reports = [
            show_study(name, request, stores, console, last=not set_, **how)
            for name in names
        ]
        if as_json:
            print_reports(reports)


def _read_records(file: Path) -> Any:
    from reports.store.records import RecordsReader

    return RecordsReader(file)


def _report_all(
    stores: Any,
    console: Console,
    chosen: tuple[str | None, str | None],
    *,
    verbose: bool,
    caption: Any,
    records: Any,
) -> Any:
    """Every report of the store, then the claims of all of them."""
    from reports.build import build_all
    from reports.claims.scorecard_formats import scorecard_console

    modality, scale = chosen
    scorecard = build_all(
        tracking_uri="" if records else stores.tracking_uri,
        records=records,
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
        comparison = compare_study(here, recorded, name, *place, wanted)
        if comparison is None:
            message = f"must have a seed of {name} that was run here too, got none"
            raise ConfigError([Problem("--compare", message)])
        for line in comparison.lines():
            console.print(for_terminal(line), soft_wrap=True)
        agrees &= comparison.agrees
    if not agrees:
        raise typer.Exit(1)
