"""What several verbs print: how a run ended, and a study's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from ablations.redaction import redacted
from d2v_cli.commands import made_command

MAX_NAMED = 8
"""Trials that a line names."""


def show_outcome(outcome: Any, stores: Any, console: Console) -> None:
    """Print what happened, and where everything is."""
    from sweeps.plan.costing import people_bytes

    def show(line: str, style: str | None = None) -> None:
        console.print(line, style=style, markup=False, soft_wrap=True)

    show(outcome.sentence())
    show(f"store: {stores.shown_uri}")
    if stores.database is not None:
        show(f"compare in MLflow: {made_command('ui', [], stores, {})}")
    if outcome.encoder_bytes:
        size = people_bytes(outcome.encoder_bytes)
        show(f"encoders: {stores.encoders} ({size}; d2v prune removes unneeded ones)")
    show(f"event log: {outcome.event_log}")
    if outcome.num_unfinished or outcome.failed:
        show(f"unfinished trials: {stores.checkpoints}")
    for record in outcome.failed:
        show(redacted(f"{record.status}: {record.key}: {record.reason}"), "red")
    if outcome.lacking:
        names = ", ".join(outcome.lacking[:MAX_NAMED])
        more = ", …" * (len(outcome.lacking) > MAX_NAMED)
        show(
            f"{len(outcome.lacking)} trials have no trained encoder and were left out: "
            f"{names}{more}; d2v run trains them",
            "yellow",
        )
    if outcome.trouble:
        free = "what has finished is safe; make space, then give the same command again"
        show(f"no space left: {outcome.trouble}; {free}", "red")
    elif outcome.num_unfinished:
        show("not all trials have a result; the same command continues.", "yellow")


def show_study(
    study: str,
    request: Any,
    stores: Any,
    console: Console,
    *,
    last: bool = False,
    records: Any = None,
    verbose: bool = False,
    caption: Any = "short",
) -> Any:
    """Build, print and place the report of a request, or of the last one there is.

    From the tracking store, or from a file of records.

    Returns:
        The :class:`reports.build.Report`.
    """
    from sweeps.driver.waiting import busy
    from sweeps.planned import id_of_request

    wanted = id_of_request(study, request)
    parts = [study, request.modality, request.scale]
    if request.assignments or request.recipe:
        parts.append(wanted[:8])
    with busy(console, "making the report"):
        from reports.build import build_report

        built = build_report(
            tracking_uri="" if records else stores.tracking_uri,
            records=records,
            study=study,
            modality=request.modality,
            scale=request.scale,
            folder=stores.storage / "reports" / "-".join(parts),
            request_id=None if last else wanted,
            caption=caption,
        )
    show_report(built, console, verbose=verbose)
    return built


def show_report(report: Any, console: Console, *, verbose: bool = False) -> None:
    """Print a report's table and verdicts, and say where its page is."""
    from reports.claims.view import claims_console
    from reports.tables.console import console_view
    from reports.text import for_terminal

    console.print(console_view(report.table, verbose=verbose))
    if report.verdicts:
        console.print(claims_console(report.verdicts, verbose=verbose))
    if report.noise and verbose:
        console.print(for_terminal(report.noise))
    page = report.files["report.html"]
    console.print(f"report: {page}", soft_wrap=True, markup=False)


def print_reports(
    reports: Sequence[Any],
    files: Mapping[str, Any] | None = None,
    faults: Sequence[Any] = (),
    **more: Any,
) -> None:
    """Print everything that was reported as one document, with more beside it."""
    from d2v_cli.options import print_json
    from reports.document import report_document

    document = {
        "version": 1,
        **more,
        "reports": [report_document(report) for report in reports],
        "files": {name: str(path) for name, path in (files or {}).items()},
        "faults": [str(fault) for fault in faults],
    }
    print_json(document)
