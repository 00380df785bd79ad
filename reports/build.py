"""Rebuilds everything about a study from the tracking store alone, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.notes import NOTE_TAG, study_note
from reports.caption import summary
from reports.curve import figure_data
from reports.figure import draw_png, draw_svg
from reports.formats import table_csv, to_markdown, trials_csv
from reports.latex import to_latex
from reports.page import render_page
from reports.paper import paper_numbers
from reports.statistics import StudyResult, study_result
from reports.store import find_manifest, open_store, read_environment, trial_frame
from reports.table import Table, build_table

ARTIFACT_FOLDER = "report"


@dataclass(frozen=True)
class Report:
    """A report that has been written.

    Attributes:
        table: To print, see :func:`reports.console.console_view`.
        result: The numbers behind it.
        folder: Where the files lie.
        files: By name: ``table.md``, ``table.tex``, ``table.csv``, ``trials.csv``,
            ``curve.svg``, ``curve.png``, ``report.html``.
        run_id: The study's parent run.
    """

    table: Table
    result: StudyResult
    folder: Path
    files: dict[str, Path]
    run_id: str


def build_report(
    *,
    tracking_uri: str,
    study: str,
    modality: str,
    scale: str,
    folder: Path,
    request_id: str | None = None,
    attach: bool = True,
) -> Report:
    """Write the report of a study, complete or not.

    Args:
        tracking_uri: Of an existing MLflow store.
        study: Name of the study.
        modality: Of the run.
        scale: Of the run.
        folder: Made if need be; files of the same names are replaced, others stay.
        request_id: Of the run, where several differ in ``--set``; default: the last.
        attach: Also log the files under ``report/`` of the study's parent run, and the
            outcome in its description.

    Raises:
        ConfigError: The store has no such run; says which ones it has.
    """
    client = open_store(tracking_uri)
    manifest, run_id = find_manifest(client, study, modality, scale, request_id)
    frame = trial_frame(client, manifest)
    result = study_result(frame, manifest)
    table = build_table(result, manifest)
    figure = figure_data(result, manifest)
    page = render_page(
        table=table,
        result=result,
        manifest=manifest,
        frame=frame,
        figure=figure,
        environment=read_environment(client, frame),
        tracking_uri=tracking_uri,
    )
    contents: dict[str, str | bytes] = {
        "table.md": to_markdown(table),
        "table.tex": to_latex(table),
        "table.csv": table_csv(result, manifest),
        "trials.csv": trials_csv(frame),
        "curve.svg": draw_svg(figure),
        "curve.png": draw_png(figure),
        "report.html": page,
    }
    files = _write(contents, folder)
    if attach:
        for path in files.values():
            client.log_artifact(run_id, str(path), ARTIFACT_FOLDER)
        outcome = summary(result, manifest, paper_numbers(manifest))
        client.set_tag(run_id, NOTE_TAG, study_note(manifest.study, outcome))
    return Report(table, result, folder, files, run_id)


def _write(contents: dict[str, str | bytes], folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name for name in contents}
    for name, content in contents.items():
        data = content.encode("utf-8") if isinstance(content, str) else content
        files[name].write_bytes(data)
    return files
