"""The report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from reports.claims.view import HEAD as CLAIMS_HEAD
from reports.claims.view import LEGEND, claim_cells, plain_line
from reports.page.content import Content
from reports.page.gallery import Gallery, chart_data, gallery, still_picture
from reports.page.templating import json_element, render
from reports.page.trials import as_text, listed_arms, pointed_at, troubles
from reports.store.links import is_served, report_command, web_address
from reports.tables.caption import methods, short_caption, summary
from reports.tables.ledger import facts, removed_text
from reports.tables.noise_table import HEAD as NOISE_HEAD
from reports.tables.noise_table import LEGEND as NOISE_LEGEND
from reports.tables.noise_table import TITLE as NOISE_TITLE
from reports.tables.noise_table import noise_cells, noise_sentence
from reports.tables.paper import paper_numbers
from reports.tables.side_by_side import TITLE as SIDE_BY_SIDE_TITLE

MAX_CHIPS = 40
"""Arms and seeds with a button each; more are chosen among by the table's filter."""


def render_page(content: Content) -> str:
    """The page; its text depends on the store's contents alone, not on the time."""
    manifest, result = content.manifest, content.result
    paper = paper_numbers(manifest)
    charts, arms = gallery(content), listed_arms(content)
    return render(
        "report.html",
        charts=True,
        gallery=charts,
        stills={one.name: still_picture(one) for one in charts.views[0].charts},
        chart_data=json_element(chart_data(charts.charts, pointed_at(arms))),
        chips=_chips(content, charts),
        table=content.table,
        anchors={arm["label"]: arm["anchor"] for arm in arms},
        study=manifest.study,
        manifest=manifest,
        metric=result.metric,
        answers=[(one.verdict, *plain_line(one)) for one in content.verdicts],
        summary=summary(result, manifest, paper),
        caption=short_caption(result, manifest),
        methods=methods(result, manifest, paper),
        paper=paper,
        claims_head=CLAIMS_HEAD,
        claims_legend=LEGEND,
        claims=[(one.verdict, claim_cells(one)) for one in content.verdicts],
        noise=noise_sentence(content.noise, result.metric),
        side_by_side=content.side_by_side,
        side_by_side_title=SIDE_BY_SIDE_TITLE,
        noise_title=NOISE_TITLE,
        noise_head=NOISE_HEAD,
        noise_rows=noise_cells(content.noise) if content.noise else [],
        noise_legend=NOISE_LEGEND,
        troubles=troubles(content),
        removed=removed_text(content.ledger),
        is_curve=content.figure.is_curve,
        curves=content.curves,
        scores=content.scores,
        arms=arms,
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


def _chips(content: Content, charts: Gallery) -> dict[str, Any]:
    """What a reader may switch on and off."""
    labels = [arm.label for arm in content.manifest.arms]
    seeds = sorted({cell.seed for cell in content.manifest.cells})
    modalities = list(dict.fromkeys(one.modality for one in charts.views[0].charts))
    return {
        "arms": labels if len(labels) <= MAX_CHIPS else [],
        "seeds": seeds if 1 < len(seeds) <= MAX_CHIPS else [],
        "modalities": modalities if len(modalities) > 1 else [],
        "references": any(arm.is_reference for arm in content.manifest.arms),
    }


def _more_facts(content: Content) -> list[tuple[str, str]]:
    facts_known = []
    if content.manifest.assignments:
        facts_known.append(("Set by hand", ", ".join(content.manifest.assignments)))
    if (ended := int(content.frame["ended"].max())) > 0:
        when = datetime.fromtimestamp(ended / 1_000, UTC)
        facts_known.append(("Last trial ended", f"{when:%Y-%m-%d %H:%M} UTC"))
    return facts_known
