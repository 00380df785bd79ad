"""A table as Markdown, and tables and trials as CSV for other programs."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import pandas as pd

from ablations.record import Manifest
from reports.statistics.inference import Interval
from reports.statistics.summary import Estimate, StudyResult
from reports.store.frames import METRIC_PREFIXES
from reports.tables.paper import paper_numbers
from reports.tables.table import Row, Table
from reports.tables.wording import trouble
from reports.text import for_csv, for_markdown

NAN = math.nan
TRIAL_COLUMNS = ["arm", "seed", "key", "status", "reason", "notes"]


def to_markdown(table: Table) -> str:
    """The table with its caption and notes, for GitHub and for papers' READMEs."""
    titles = [for_markdown(column.title) for column in table.columns]
    rules = ["---:" if column.is_number else ":---" for column in table.columns]
    rows = [titles, rules, *(_markdown_cells(row) for row in table.rows)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    notes = [f"{n.superscript} {for_markdown(n.text)}" for n in table.notes]
    parts = [
        f"### {for_markdown(table.title)}",
        "\n".join(lines),
        for_markdown(table.caption),
        "  \n".join(notes),
        f"Methods. {for_markdown(table.methods)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table_csv(result: StudyResult, manifest: Manifest) -> str:
    """One row per arm, every number unrounded in a column of its own.

    ``low`` and ``high`` end the 95 % Student-t intervals of the means,
    ``bootstrap_low`` and ``bootstrap_high`` those by bootstrap, which are too short for
    few seeds (:mod:`reports.statistics.inference`); empty where there is none.
    """
    paper = paper_numbers(manifest)
    planned = {arm.label: arm for arm in manifest.arms}
    rows: list[dict[str, object]] = []
    for arm in result.arms:
        number = planned[arm.label].paper or {}
        rows.append(
            {
                "arm": arm.label,
                "axis_value": planned[arm.label].value,
                "is_reference": arm.is_reference,
                "metric": result.metric.logged_as,
                "num_seeds_planned": len(arm.seeds),
                "num_collapsed": arm.num_collapsed,
                **_estimate_columns("", arm.mean),
                **_bootstrap_columns("", arm.bootstrap),
                **_estimate_columns("difference_", arm.difference),
                **_bootstrap_columns("difference_", arm.difference_bootstrap),
                "difference_p_holm": arm.p,
                **_estimate_columns("gain_", arm.gain),
                "paper_metric": paper.metric if paper else None,
                "paper_value": number.get("value"),
                "paper_tolerance": number.get("tolerance"),
                "paper_source": number.get("source"),
                "paper_arm": number.get("at"),
                "note": trouble(arm.seeds),
            }
        )
    # As objects: an axis of whole numbers stays one beside arms without a value.
    return csv_text(pd.DataFrame(rows, dtype=object))


def trials_csv(frame: pd.DataFrame) -> str:
    """:func:`tidy_trials` as text."""
    return csv_text(tidy_trials(frame))


def trials_parquet(frame: pd.DataFrame) -> bytes:
    """:func:`tidy_trials` with its types; pyarrow comes with MLflow."""
    buffer = io.BytesIO()
    tidy_trials(frame).to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def tidy_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per trial and metric; a trial without metrics has one row.

    A trial is named by its key, by which MLflow finds it (``tags.`d2v.key```), and not
    by its run: the same results in another store are the same rows.

    Args:
        frame: As from :func:`reports.store.frames.trial_frame`.
    """
    names = [name for name in frame.columns if name.startswith(METRIC_PREFIXES)]
    rows: list[dict[str, object]] = []
    for trial in frame.to_dict("records"):
        start = {str(name): trial[name] for name in TRIAL_COLUMNS}
        logged = [name for name in names if not pd.isna(trial[name])]
        rows += [
            {**start, "metric": name, "value": trial[name] if name else NAN}
            for name in logged or [""]
        ]
    return pd.DataFrame(rows).astype({"value": float})


def rows_csv(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Rows as CSV; without any, the head alone."""
    return csv_text(pd.DataFrame(rows, columns=list(columns), dtype=object))


def _markdown_cells(row: Row) -> list[str]:
    return [
        f"{for_markdown(cell.text)} {cell.superscript}".rstrip() for cell in row.cells
    ]


def _estimate_columns(prefix: str, value: Estimate | None) -> Mapping[str, object]:
    return {
        f"{prefix}n": value.n if value else 0,
        f"{prefix}mean": value.mean if value else None,
        f"{prefix}low": value.low if value else None,
        f"{prefix}high": value.high if value else None,
    }


def _bootstrap_columns(prefix: str, value: Interval | None) -> Mapping[str, object]:
    return {
        f"{prefix}bootstrap_low": value.low if value else None,
        f"{prefix}bootstrap_high": value.high if value else None,
        f"{prefix}bootstrap_method": value.method if value else None,
    }


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV, the same on every system; see :func:`reports.text.for_csv`."""
    safe = frame.map(for_csv) if len(frame) else frame
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text
