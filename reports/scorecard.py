"""All claims of a store beside each other: ``d2v report --all`` ends with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from reports.claims_view import (
    CLAIM_COLUMNS,
    COLOURS,
    HEAD,
    LEGEND,
    JudgedClaim,
    claim_cells,
    claim_row,
    claims_grid,
)
from reports.formats import escape_markdown, rows_csv
from reports.templating import render

CAPTION = (
    "Every claim on the trials of its own study, modality and scale. Verdicts are "
    "about signs and orders at that scale; levels are never compared across scales or "
    f"with the paper's. {LEGEND}"
)


def tally(claims: Sequence[JudgedClaim]) -> str:
    """How many of each: ``2 claims: 1 supported, 0 contradicted, 1 undecided.``."""
    counts = Counter[str](judged.verdict.verdict for judged in claims)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in COLOURS)
    return f"{len(claims)} claim{'s' * (len(claims) != 1)}: {listed}."


def scorecard_markdown(claims: Sequence[JudgedClaim]) -> str:
    """For GitHub."""
    head = ("study", "modality", "scale", *HEAD)
    rows = [[escape_markdown(cell) for cell in _cells(one)] for one in claims]
    lines = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
    table = "\n".join(f"| {line} |" for line in lines)
    return "\n\n".join(("# Scorecard", tally(claims), table, CAPTION)) + "\n"


def scorecard_csv(claims: Sequence[JudgedClaim]) -> str:
    """For programs, numbers unrounded."""
    return rows_csv([claim_row(one) for one in claims], CLAIM_COLUMNS)


def scorecard_html(claims: Sequence[JudgedClaim], pages: dict[str, str]) -> str:
    """One page, with links to the reports.

    Args:
        claims: In order.
        pages: Where the report of ``study-modality-scale`` lies, relative to the page.
    """
    return render(
        "scorecard.html",
        tally=tally(claims),
        caption=CAPTION,
        head=HEAD,
        rows=[
            {
                "page": pages.get("-".join(one.place)),
                "place": one.place,
                "verdict": one.verdict,
                "cells": claim_cells(one.verdict),
            }
            for one in claims
        ],
    )


def scorecard_console(claims: Sequence[JudgedClaim]) -> Group:
    """For a terminal; the evidence stands under each study's own table."""
    parts: list[RenderableType] = [Text(f"Scorecard. {tally(claims)}", style="bold")]
    for place, judged in groupby(claims, key=lambda one: one.place):
        parts += [
            Text(f"\n{' · '.join(place)}", style="bold"),
            claims_grid([one.verdict for one in judged], with_reason=False),
        ]
    return Group(*parts)


def _cells(judged: JudgedClaim) -> tuple[str, ...]:
    return (*judged.place, *claim_cells(judged.verdict))
