"""Everything that is written of one study: its files, and its place in the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from ablations.mlflow_names import NOTE_TAG, TAG_LENGTH
from ablations.record import Manifest
from ablations.study.description import study_note
from reports.claims.scorecard_formats import claims_csv
from reports.claims.verdicts import Verdict
from reports.claims.view import (
    JudgedClaim,
    claims_markdown,
    outcome_sentence,
)
from reports.figures.spec import to_pdf, to_png, to_svg
from reports.files import Contents, ReportWriteError
from reports.page.content import Content
from reports.page.gallery import pictured
from reports.page.report_page import render_page
from reports.store.manifests import (
    PlannedStudy,
    place_name,
)
from reports.tables.caption import summary
from reports.tables.checklist import checklist, checklist_markdown
from reports.tables.formats import (
    table_csv,
    to_markdown,
    trials_csv,
    trials_parquet,
)
from reports.tables.latex import Caption, to_latex
from reports.tables.ledger import ledger_json, ledger_markdown
from reports.tables.noise_table import noise_csv, noise_markdown
from reports.tables.paper import paper_numbers
from reports.tables.side_by_side import side_by_side_markdown
from reports.text import for_markdown, one_line

ARTIFACT_FOLDER = "report"


class ReportAttachError(ReportWriteError):
    """A report was written, and the tracking store did not take its files."""


def judged_claims(
    manifest: Manifest, verdicts: tuple[Verdict, ...]
) -> list[JudgedClaim]:
    """The verdicts of a study with the place they belong to."""
    name = manifest.study["name"]
    return [JudgedClaim(name, manifest.modality, manifest.scale, v) for v in verdicts]


def report_contents(content: Content, caption: Caption = "short") -> Contents:
    """The files of a report, by name.

    Args:
        content: All it shows.
        caption: Caption of the table in LaTeX.
    """
    manifest, result, ledger = content.manifest, content.result, content.ledger
    verdicts, figure = content.verdicts, pictured(content)
    items = checklist(ledger, result, manifest, verdicts)
    parts = (
        to_markdown(content.table),
        side_by_side_markdown(content.side_by_side),
        claims_markdown(verdicts),
        noise_markdown(content.noise, result.metric),
    )
    return {
        "table.md": "\n".join(part for part in parts if part),
        "table.tex": to_latex(content.table, caption),
        "table.csv": table_csv(result, manifest),
        "trials.csv": trials_csv(content.frame),
        "trials.parquet": trials_parquet(content.frame),
        "claims.csv": claims_csv(judged_claims(manifest, verdicts)),
        "noise.csv": noise_csv(content.noise),
        "curve.svg": to_svg(figure),
        "curve.png": to_png(figure),
        "curve.pdf": to_pdf(figure),
        "ledger.json": ledger_json(ledger),
        "ledger.md": ledger_markdown(ledger),
        "checklist.md": checklist_markdown(items, place_name(manifest)),
        "report.html": render_page(content),
    }


def attach_report(
    client: MlflowClient,
    planned: PlannedStudy,
    files: Mapping[str, Path],
    content: Content,
) -> None:
    """The files as artifacts, the outcome in the description, the page of the runs."""
    manifest = content.manifest
    sentences = summary(content.result, manifest, paper_numbers(manifest))
    outcome = f"{for_markdown(sentences)} {outcome_sentence(content.verdicts)}".strip()
    texts = {name: manifest.study.get(name) or "" for name in ("title", "hypothesis")}
    safe = {name: for_markdown(text) for name, text in texts.items()}
    note = study_note({**manifest.study, **safe}, outcome)[:TAG_LENGTH]
    try:
        content.view.publish(client)
        for path in files.values():
            client.log_artifact(planned.run_id, str(path), ARTIFACT_FOLDER)
        client.set_tag(planned.run_id, NOTE_TAG, note)
    except (MlflowException, OSError) as error:
        folder = next(iter(files.values())).parent
        why = one_line(str(error))[:300]
        raise ReportAttachError(
            f"the report lies in {folder}; the tracking store did not take it ({why})"
        ) from error
