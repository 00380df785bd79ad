"""The report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ablations.record import Manifest
from reports.caption import summary
from reports.curve import FigureData, Panel
from reports.figure import INK, OURS, PAPER, QUIET, Which, draw_svg
from reports.paper import paper_numbers
from reports.statistics import StudyResult
from reports.table import Table

PAGE_COLOURS = {
    "#ffffff": "none",
    INK: "currentColor",
    QUIET: "var(--quiet)",
    OURS: "var(--ours)",
    PAPER: "var(--theirs)",
}
"""What the page's style sheet decides, for light and dark."""
TRAINING_SECONDS = "cost/training_seconds"


def render_page(
    *,
    table: Table,
    result: StudyResult,
    manifest: Manifest,
    frame: pd.DataFrame,
    figure: FigureData,
    environment: Mapping[str, str],
    tracking_uri: str,
) -> str:
    """The page; its text depends on the store's contents alone, not on the time.

    Args:
        table: As printed.
        result: The numbers behind it.
        manifest: The planned study.
        frame: Its trials.
        figure: Drawn into the page, one drawing per panel, so that a phone stacks them.
        environment: Where a trial ran; may be empty.
        tracking_uri: Links lead to it when it is a web address.
    """
    paper = paper_numbers(manifest)
    panels: list[tuple[Which, Panel]] = [("ours", figure.ours)]
    if figure.paper:
        panels.append(("paper", figure.paper))
    templates = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = templates.get_template("report.html")
    return (
        template.render(
            table=table,
            study=manifest.study,
            manifest=manifest,
            metric=result.metric,
            summary=summary(result, manifest, paper),
            panels=[
                (inline_svg(draw_svg(figure, name), name), panel.title)
                for name, panel in panels
            ],
            paper=paper,
            troubles=[
                (arm.label, seed)
                for arm in result.arms
                for seed in arm.seeds
                if seed.status != "finished" or seed.value is None
            ],
            is_curve=figure.is_curve,
            trials=_trials(frame, result, tracking_uri),
            differences=[
                (path, as_text(ours), as_text(theirs))
                for path, ours, theirs in manifest.paper_diff
            ],
            base=json.dumps(manifest.base, indent=2, ensure_ascii=False),
            facts=_facts(manifest, frame),
            environment=environment,
        )
        + "\n"
    )


def inline_svg(document: str, prefix: str) -> Markup:
    """A drawing for use inside a page.

    Only the ``<svg>`` element stays, its ids get a prefix so that two drawings do not
    clash, its style sheet applies to itself only, and it takes the page's colours.
    """
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = svg.replace('href="#', f'href="#{prefix}-').replace(
        "url(#", f"url(#{prefix}-"
    )
    svg = svg.replace("*{", f"#{prefix}-figure_1 *{{", 1)
    for colour, own in PAGE_COLOURS.items():
        svg = svg.replace(f": {colour}", f": {own}")
    return Markup(svg)


def run_address(tracking_uri: str, experiment_id: str, run_id: str) -> str | None:
    """Where MLflow shows a run; None for a store without a web address.

    A user name and password in the address are left out.
    """
    parts = urlsplit(tracking_uri)
    if parts.scheme not in ("http", "https") or not run_id:
        return None
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/") + "/"
    place = f"/experiments/{experiment_id}/runs/{run_id}"
    return urlunsplit((parts.scheme, host, path, "", place))


def as_text(value: Any) -> str:
    """A setting as in YAML: ``true``, ``null``, ``0.001``, text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _trials(
    frame: pd.DataFrame, result: StudyResult, tracking_uri: str
) -> list[dict[str, Any]]:
    values = {
        (arm.label, seed.seed): seed.value for arm in result.arms for seed in arm.seeds
    }
    rows: list[dict[str, Any]] = []
    for trial in frame.to_dict("records"):
        row = {str(name): value for name, value in trial.items()}
        row["value"] = values[row["arm"], row["seed"]]
        row["address"] = run_address(tracking_uri, row["experiment_id"], row["run_id"])
        rows.append(row)
    return rows


def _facts(manifest: Manifest, frame: pd.DataFrame) -> list[tuple[str, str]]:
    """What a reader needs to trust or repeat the numbers."""
    facts = [
        ("Encoder", f"{manifest.depth} blocks, {manifest.num_parameters:,} parameters"),
        ("Data digest", manifest.data_digest),
    ]
    if manifest.assignments:
        facts.append(("Set by hand", ", ".join(manifest.assignments)))
    if TRAINING_SECONDS in frame and frame[TRAINING_SECONDS].notna().any():
        seconds = frame[TRAINING_SECONDS]
        facts.append(
            (
                "Training time",
                f"{seconds.sum():,.0f} s over {seconds.notna().sum()} trials",
            )
        )
    if (ended := int(frame["ended"].max())) > 0:
        when = datetime.fromtimestamp(ended / 1_000, UTC)
        facts.append(("Last trial ended", f"{when:%Y-%m-%d %H:%M} UTC"))
    return facts
