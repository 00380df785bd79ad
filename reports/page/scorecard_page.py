"""The scorecard as a page: claims by modality, a mark for every scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from d2v_core.config import TRIAL_TYPES
from reports.claims.scorecard import AllClaims, tally
from reports.claims.scorecard_formats import CAPTION, FAULT_HEAD, UNRUN_HEAD
from reports.claims.view import HEAD, claim_cells, plain_line
from reports.page.templating import render


@dataclass(frozen=True)
class Mark:
    """One verdict in the matrix.

    Attributes:
        kind: The verdict, or ``unrun``.
        text: In the cell.
        hint: When pointed at.
        page: The report it leads to; None where there is none.
    """

    kind: str
    text: str
    hint: str
    page: str | None = None


@dataclass
class Line:
    """One claim of a study with its marks by modality."""

    study: str
    says: str
    marks: dict[str, list[Mark]] = field(default_factory=dict)


def scorecard_html(claims: AllClaims, pages: Mapping[str, str]) -> str:
    """One page, with links to the reports.

    Args:
        claims: In order.
        pages: Where the report of ``study-modality-scale`` lies, relative to the page.
    """
    lines = list(_lines(claims, pages).values())
    seen = {modality for line in lines for modality in line.marks}
    rows = [
        {
            "page": pages.get("-".join(one.place)),
            "place": one.place,
            "verdict": one.verdict,
            "cells": claim_cells(one.verdict),
        }
        for one in claims.judged
    ]
    return render(
        "scorecard.html",
        tally=tally(claims),
        caption=CAPTION,
        head=HEAD,
        modalities=[name for name in TRIAL_TYPES if name in seen]
        + sorted(seen - set(TRIAL_TYPES)),
        lines=lines,
        rows=rows,
        faults=claims.faults,
        fault_head=FAULT_HEAD,
        unrun=claims.unrun,
        unrun_head=UNRUN_HEAD,
        num_unrun=claims.num_unrun,
    )


def _lines(
    claims: AllClaims, pages: Mapping[str, str]
) -> dict[tuple[str, str, str], Line]:
    """A line per claim; judged ones first, as they were run."""
    lines: dict[tuple[str, str, str], Line] = {}
    for one in claims.judged:
        verdict = one.verdict
        says, at = plain_line(verdict)
        line = lines.setdefault(
            (one.study, verdict.claim, verdict.says), Line(one.study, says)
        )
        mark = Mark(
            kind=verdict.verdict,
            text=f"{verdict.verdict} · {one.scale}, n = {verdict.n}",
            hint=f"{one.scale}, {at}",
            page=pages.get("-".join(one.place)),
        )
        line.marks.setdefault(one.modality, []).append(mark)
    for place in claims.unrun:
        for claim, says in zip(place.claims, place.texts, strict=True):
            line = lines.setdefault(
                (place.study, claim.id, claim.says), Line(place.study, says)
            )
            mark = Mark("unrun", "not run", place.command)
            line.marks.setdefault(place.modality, []).append(mark)
    return lines
