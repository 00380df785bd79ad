"""Rebuilds everything about a study from what is stored of it alone, in seconds."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ablations.record import Manifest
from d2v_core.config import TRIAL_TYPES
from d2v_core.errors import ConfigError
from reports.claims.scorecard import AllClaims, Fault, unrun_claims
from reports.claims.scorecard_formats import (
    claims_json,
    scorecard_csv,
    scorecard_markdown,
)
from reports.claims.verdicts import Verdict, study_verdicts
from reports.claims.view import JudgedClaim
from reports.figures.curve import figure_data
from reports.figures.score_curves import read_score_figures
from reports.figures.training_curves import read_curves
from reports.files import Contents, ReportWriteError, write_files
from reports.outputs import (
    ReportAttachError,
    attach_report,
    judged_claims,
    report_contents,
)
from reports.page.content import Content, Sibling
from reports.page.scorecard_page import scorecard_html
from reports.statistics.study_noise import study_noise
from reports.statistics.summary import StudyResult, study_result
from reports.store.foreign import Location, StoreContentError
from reports.store.frames import place_of, trial_frames
from reports.store.manifests import (
    PlannedStudy,
    all_manifests,
    find_manifest,
    no_study,
    place_name,
)
from reports.store.mlflow_view import StudyView
from reports.store.reader import Reader, Source
from reports.store.runs import open_store
from reports.tables.latex import Caption
from reports.tables.ledger import build_ledger
from reports.tables.noise_table import noise_sentence
from reports.tables.table import Table, build_table
from reports.text import for_file_name, one_line


@dataclass(frozen=True)
class Report:
    """A report that has been written.

    Attributes:
        table: To print, see :func:`reports.tables.console.console_view`.
        result: The numbers behind it.
        verdicts: On the study's claims.
        noise: Where the noise of the numbers comes from, in a sentence; empty where
            trials do not tell of their label draws.
        manifest: The planned study.
        folder: Where the files lie.
        files: By name: the table (``table.md``, ``.tex``, ``.csv``), the trials
            (``trials.csv``, ``.parquet``), ``claims.csv``, ``noise.csv``, the figure
            (``curve.svg``, ``.png``, ``.pdf``), ``report.html``, ``ledger.json``,
            ``ledger.md``, ``checklist.md``.
        run_id: The study's parent run.
    """

    table: Table
    result: StudyResult
    verdicts: tuple[Verdict, ...]
    noise: str
    manifest: Manifest
    folder: Path
    files: dict[str, Path]
    run_id: str

    @property
    def claims(self) -> list[JudgedClaim]:
        """The verdicts with the place they belong to."""
        return judged_claims(self.manifest, self.verdicts)


@dataclass(frozen=True)
class Scorecard:
    """All reports of a store, and all claims beside each other.

    Attributes:
        reports: Written, by study, modality and scale.
        claims: All of theirs, the paper's that were not run yet, and the studies that
            could not be reported.
        files: ``scorecard.md``, ``.csv``, ``.html``, and ``claims.json``.
    """

    reports: tuple[Report, ...]
    claims: AllClaims
    files: dict[str, Path]


def build_report(
    *,
    tracking_uri: str = "",
    records: Reader | None = None,
    study: str,
    modality: str,
    scale: str,
    folder: Path,
    request_id: str | None = None,
    attach: bool = True,
    caption: Caption = "short",
) -> Report:
    """Write the report of a study, complete or not.

    Args:
        tracking_uri: That of an existing MLflow store.
        records: Read instead of a store; nothing is attached then, and the page has no
            links to MLflow.
        study: Name of the study.
        modality: The run's.
        scale: The run's.
        folder: Made if need be; files of the same names are replaced, others stay.
        request_id: The run's, where several differ in ``--set``; default: the last.
        attach: Also log the files under ``report/`` of the study's parent run, the
            outcome in its description, and the view of its runs.
        caption: Caption of the table in LaTeX.

    Raises:
        ConfigError: The store has no such run; says which ones it has. Or what it has
            of the study cannot be used; names run and field.
        ReportWriteError: The disk is full, or the folder cannot be written.
    """
    source = records or open_store(tracking_uri)
    planned = find_manifest(source, study, modality, scale, request_id)
    return _build(source, planned, folder, tracking_uri, attach, caption)


def build_all(
    *,
    tracking_uri: str = "",
    records: Reader | None = None,
    folder: Path,
    modality: str | None = None,
    scale: str | None = None,
    attach: bool = True,
    caption: Caption = "short",
    on_report: Callable[[Report], None] = lambda report: None,
) -> Scorecard:
    """Write the report of every study of the store, and the scorecard.

    A study that cannot be read or reported is named in the scorecard's faults and takes
    no other one down.

    Args:
        tracking_uri: That of an existing MLflow store.
        records: As for :func:`build_report`.
        folder: Gets one folder per report, and the scorecard.
        modality: Only this one.
        scale: Only this one.
        attach: As for :func:`build_report`.
        caption: As for :func:`build_report`.
        on_report: Called after each.

    Raises:
        ConfigError: The store has no study run.
        ReportWriteError: The disk is full, or the folder cannot be written.
    """
    source = records or open_store(tracking_uri)
    faults: list[Fault] = []
    known = all_manifests(source, on_fault=lambda one: faults.append(_fault(one)))
    unread = {fault.place[:2] for fault in faults}
    faults = [one for one in faults if _is_wanted(one.place, modality, scale)]
    wanted = [p for p in known if _is_wanted(place_of(p.manifest), modality, scale)]
    if not wanted and not faults:
        raise no_study(modality, scale)
    reports = []
    for planned in wanted:
        place = folder / for_file_name(place_name(planned.manifest))
        try:
            report = _build(source, planned, place, tracking_uri, attach, caption)
        except Exception as error:
            if type(error) is ReportWriteError:
                raise  # no other report could be written either
            # Whatever is wrong with one study, the others are reported: the fault is
            # named there and by the exit code, one of ours with its place.
            faults.append(_fault(error, planned))
            continue
        on_report(report)
        reports.append(report)
    only = {"modality": modality, "scale": scale}
    claims = AllClaims(
        judged=tuple(claim for report in reports for claim in report.claims),
        unrun=unrun_claims([one.manifest for one in known], modality, unread),
        narrowed=" and ".join(f"{name} {one}" for name, one in only.items() if one),
        faults=tuple(sorted(faults, key=lambda fault: fault.place)),
    )
    names = [report.folder.name for report in reports]
    contents: Contents = {
        "scorecard.md": scorecard_markdown(claims),
        "scorecard.csv": scorecard_csv(claims),
        "claims.json": claims_json(claims),
        "scorecard.html": scorecard_html(
            claims, {name: f"{name}/report.html" for name in names}
        ),
    }
    return Scorecard(tuple(reports), claims, write_files(contents, folder))


def _fault(error: Exception, planned: PlannedStudy | None = None) -> Fault:
    """Name what is wrong with a study, in a line."""
    if isinstance(error, StoreContentError):
        return Fault(error.place, error.message)
    assert planned is not None, "only a plan that was read can be reported"
    place = place_of(planned.manifest)
    if isinstance(error, ReportAttachError):
        return Fault(place, str(error))
    frames = traceback.extract_tb(error.__traceback__)
    at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    what = one_line(f"{type(error).__name__}: {error}")[:300]
    ours = "this is a fault of d2v's, please tell its authors"
    return Fault(place, f"no report could be made ({what}, at {at}); {ours}", True)


def _is_wanted(place: Location, modality: str | None, scale: str | None) -> bool:
    return modality in (None, place[1]) and scale in (None, place[2])


def gather(source: Source, planned: PlannedStudy, tracking_uri: str) -> Content:
    """Read and compute everything a report shows; writes nothing."""
    manifest = planned.manifest
    frame, removed = trial_frames(source, manifest)
    result = study_result(frame, manifest)
    used = set(frame["experiment_id"]) - {""} or {planned.experiment_id}
    return Content(
        table=build_table(result, manifest),
        result=result,
        manifest=manifest,
        frame=frame,
        figure=figure_data(result, manifest),
        siblings=_siblings(source, manifest),
        verdicts=study_verdicts(result, manifest),
        noise=study_noise(result),
        curves=read_curves(source, frame, manifest),
        scores=read_score_figures(source, frame, manifest),
        ledger=build_ledger(source, frame, removed, manifest),
        tracking_uri=tracking_uri,
        view=StudyView(manifest, tuple(sorted(used))),
    )


def _siblings(source: Source, manifest: Manifest) -> tuple[Sibling, ...]:
    """The study at this scale in other modalities, as last run.

    Those that cannot be read have a report of their own that says why.
    """
    others = []
    for modality in TRIAL_TYPES:
        if modality == manifest.modality:
            continue
        try:
            name = manifest.study["name"]
            other = find_manifest(source, name, modality, manifest.scale).manifest
            frame, _ = trial_frames(source, other)
        except ConfigError:
            continue
        result = study_result(frame, other)
        others.append(Sibling(modality, result, figure_data(result, other)))
    return tuple(others)


def _build(
    source: Source,
    planned: PlannedStudy,
    folder: Path,
    tracking_uri: str,
    attach: bool,
    caption: Caption,
) -> Report:
    content = gather(source, planned, tracking_uri)
    files = write_files(report_contents(content, caption), folder)
    if attach and not isinstance(source, Reader):
        attach_report(source, planned, files, content)
    return Report(
        table=content.table,
        result=content.result,
        verdicts=content.verdicts,
        noise=noise_sentence(content.noise, content.result.metric),
        manifest=content.manifest,
        folder=folder,
        files=files,
        run_id=planned.run_id,
    )
