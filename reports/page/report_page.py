"""The report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from markupsafe import Markup

from ablations.record import DONE, FailedTry, Manifest, ManifestArm
from reports.claims.verdicts import Verdict
from reports.claims.view import HEAD as CLAIMS_HEAD
from reports.claims.view import LEGEND, claim_cells
from reports.figures.curve import FigureData, Panel
from reports.figures.figure import INK, OURS, PAPER, QUIET, Which, draw_svg
from reports.figures.score_curves import ScoreFigure
from reports.figures.score_drawing import draw_scores
from reports.figures.sparklines import draw_curves, line_style
from reports.figures.training_curves import METRICS, Curves
from reports.page.templating import render
from reports.statistics.study_noise import StudyNoise
from reports.statistics.summary import SeedResult, StudyResult
from reports.store.links import (
    is_served,
    report_command,
    run_address,
    train_command,
    web_address,
)
from reports.store.mlflow_view import StudyView
from reports.tables.caption import summary
from reports.tables.ledger import Ledger, facts, removed_text
from reports.tables.noise_table import HEAD as NOISE_HEAD
from reports.tables.noise_table import LEGEND as NOISE_LEGEND
from reports.tables.noise_table import TITLE as NOISE_TITLE
from reports.tables.noise_table import noise_cells, noise_sentence
from reports.tables.paper import paper_numbers
from reports.tables.table import Table

PAGE_COLOURS = {
    "#ffffff": "none",
    INK: "currentColor",
    QUIET: "var(--quiet)",
    OURS: "var(--ours)",
    PAPER: "var(--theirs)",
}
"""Colours of the drawings that the page's style sheet sets, for light and dark."""
THRESHOLDS = {
    "target/std": "min_target_std",
    "prediction/std": "min_prediction_std",
}
"""Metric to the field of a configuration's ``health`` with its least healthy value."""


@dataclass(frozen=True)
class Content:
    """Everything a page shows.

    Attributes:
        table: As printed.
        result: The numbers behind it.
        manifest: The planned study.
        frame: Its trials.
        figure: Drawn into the page, one drawing per panel, so that a phone stacks them.
        verdicts: On the study's claims.
        noise: Where it comes from; None where trials do not tell.
        curves: Over training.
        scores: Over training, where trials were probed.
        ledger: Counts, costs, environments.
        tracking_uri: Links lead to it, or to where ``d2v ui`` serves it; empty where
            there is no store, and no links then.
        view: Its runs in MLflow.
    """

    table: Table
    result: StudyResult
    manifest: Manifest
    frame: pd.DataFrame
    figure: FigureData
    verdicts: tuple[Verdict, ...]
    noise: StudyNoise | None
    curves: Curves
    scores: tuple[ScoreFigure, ...]
    ledger: Ledger
    tracking_uri: str
    view: StudyView


def render_page(content: Content) -> str:
    """The page; its text depends on the store's contents alone, not on the time."""
    manifest, result = content.manifest, content.result
    paper = paper_numbers(manifest)
    return render(
        "report.html",
        table=content.table,
        anchors={arm.label: f"runs-{i}" for i, arm in enumerate(manifest.arms)},
        study=manifest.study,
        manifest=manifest,
        metric=result.metric,
        summary=summary(result, manifest, paper),
        panels=_panels(content.figure),
        paper=paper,
        claims_head=CLAIMS_HEAD,
        claims_legend=LEGEND,
        claims=[(one.verdict, claim_cells(one)) for one in content.verdicts],
        noise=noise_sentence(content.noise, result.metric),
        noise_title=NOISE_TITLE,
        noise_head=NOISE_HEAD,
        noise_rows=noise_cells(content.noise) if content.noise else [],
        noise_legend=NOISE_LEGEND,
        troubles=_troubles(content),
        removed=removed_text(content.ledger),
        is_curve=content.figure.is_curve,
        training=_training(content),
        curves=content.curves,
        legend=_legend(manifest, {curve.arm for curve in content.curves.curves}),
        scores=_scores(content),
        scores_legend=_legend(
            manifest, {curve.arm for one in content.scores for curve in one.curves}
        ),
        arms=_arms(content),
        num_trials=len(content.frame),
        mlflow=web_address(content.tracking_uri, content.view.fragment)
        if content.tracking_uri
        else None,
        is_served=is_served(content.tracking_uri),
        search=content.view.filter,
        differences=[
            (path, as_text(ours), as_text(theirs))
            for path, ours, theirs in manifest.paper_diff
        ],
        base=json.dumps(manifest.base, indent=2, ensure_ascii=False),
        again=report_command(manifest),
        facts=[*facts(content.ledger), *_more_facts(content)],
        environments=content.ledger["environments"],
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


def as_text(value: Any) -> str:
    """A setting as in YAML: ``true``, ``null``, ``0.001``, text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _panels(figure: FigureData) -> list[tuple[Markup, str]]:
    panels: list[tuple[Which, Panel]] = [("ours", figure.ours)]
    if figure.paper:
        panels.append(("paper", figure.paper))
    return [
        (inline_svg(draw_svg(figure, name), name), panel.title)
        for name, panel in panels
    ]


def _legend(manifest: Manifest, shown: Collection[str]) -> list[tuple[str, Markup]]:
    """The arms that a figure shows, with their lines."""
    lines = [(arm.label, line_style(i)) for i, arm in enumerate(manifest.arms)]
    return [(label, style) for label, style in lines if label in shown]


def _scores(content: Content) -> list[tuple[ScoreFigure, Markup]]:
    """A drawing per score over training."""
    arms = [arm.label for arm in content.manifest.arms]
    return [(one, draw_scores(one, arms)) for one in content.scores]


def _training(content: Content) -> list[tuple[str, Markup]]:
    """A drawing per metric that somebody logged."""
    health = content.manifest.base.get("health", {})
    arms = [arm.label for arm in content.manifest.arms]
    return [
        (metric, draw_curves(curves, arms, health.get(THRESHOLDS.get(metric))))
        for metric in METRICS
        if (curves := content.curves.of(metric))
    ]


def _troubles(content: Content) -> list[tuple[str, SeedResult, list[str]]]:
    """Cells that are not simply finished, with their former tries."""
    frame = content.frame
    cells = zip(frame["arm"], frame["seed"], strict=True)
    tries = dict(zip(cells, frame["failed_tries"], strict=True))
    return [
        (arm.label, seed, _former(tries[arm.label, seed.seed], seed))
        for arm in content.result.arms
        for seed in arm.seeds
        if seed.status != "finished"
        or seed.value is None
        or tries[arm.label, seed.seed]
    ]


def _former(tries: Sequence[FailedTry], seed: SeedResult) -> list[str]:
    """Failed tries in words; the last one is left out where the cell says it."""
    failed_last = seed.status not in (*DONE, "unfinished")
    texts = []
    for number, one in enumerate(tries[: len(tries) - failed_last], start=1):
        lost = "" if one.seconds is None else f", {one.seconds:,.4g} s lost"
        status = one.status.replace("_", " ")
        texts.append(f"try {number} {status}{lost}: {one.reason}")
    return texts


def _arms(content: Content) -> list[dict[str, Any]]:
    """Every arm with its overrides and trials."""
    values = {
        (arm.label, seed.seed): seed.value
        for arm in content.result.arms
        for seed in arm.seeds
    }
    rows = dict(list(content.frame.groupby("arm", sort=False)))
    return [
        {
            "label": arm.label,
            "overrides": [(path, as_text(v)) for path, v in arm.settings.items()],
            "trials": [
                _trial({str(k): v for k, v in row.items()}, arm, content, values)
                for row in rows[arm.label].to_dict("records")
            ]
            if arm.label in rows
            else [],
        }
        for arm in content.manifest.arms
    ]


def _trial(
    row: dict[str, Any],
    arm: ManifestArm,
    content: Content,
    values: dict[tuple[str, int], float | None],
) -> dict[str, Any]:
    return {
        **row,
        "value": values[row["arm"], row["seed"]],
        "address": run_address(
            content.tracking_uri, row["experiment_id"], row["run_id"]
        ),
        "command": train_command(content.manifest, arm, row["seed"]),
    }


def _more_facts(content: Content) -> list[tuple[str, str]]:
    facts_known = []
    if content.manifest.assignments:
        facts_known.append(("Set by hand", ", ".join(content.manifest.assignments)))
    if (ended := int(content.frame["ended"].max())) > 0:
        when = datetime.fromtimestamp(ended / 1_000, UTC)
        facts_known.append(("Last trial ended", f"{when:%Y-%m-%d %H:%M} UTC"))
    return facts_known
