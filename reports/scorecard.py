"""All claims of a store beside each other: ``d2v report --all`` ends with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from reports.claims_view import (
    CLAIM_COLUMNS,
    COLOURS,
    LEGEND,
    JudgedClaim,
    claim_cells,
    claim_row,
    effect_text,
    seeds_text,
)
from reports.formats import escape_markdown, rows_csv
from reports.templating import render
from reports.wording import p_text

CAPTION = (
    "Every claim on the trials of its own study, modality and scale. Verdicts are "
    "about signs and orders at that scale; levels are never compared across scales or "
    f"with the paper's. {LEGEND}"
)
HEAD = (
    *("study", "modality", "scale", "claim", "verdict", "effect and interval"),
    *("n", "p", "seeds needed", "evidence"),
)


def tally(claims: Sequence[JudgedClaim]) -> str:
    """How many of each: ``2 claims: 1 supported, 0 contradicted, 1 undecided.``."""
    counts = Counter[str](judged.verdict.verdict for judged in claims)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in COLOURS)
    return f"{len(claims)} claim{'s' * (len(claims) != 1)}: {listed}."


def scorecard_markdown(claims: Sequence[JudgedClaim]) -> str:
    """For GitHub."""
    rows = [[escape_markdown(cell) for cell in _cells(one)] for one in claims]
    lines = [" | ".join(row) for row in (HEAD, ["---"] * len(HEAD), *rows)]
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


def scorecard_console(claims: Sequence[JudgedClaim]) -> RichTable:
    """For a terminal; the evidence stands under each study's own table."""
    grid = RichTable(
        *("claim", "verdict", "effect and interval", "n", "p", "seeds needed"),
        title=f"Scorecard. {tally(claims)}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for before, one in zip([None, *claims], claims, strict=False):
        verdict = one.verdict
        says = Text(verdict.says)
        if before is None or before.place != one.place:
            if before is not None:
                grid.add_section()
            says = Text("\n").join([Text(" · ".join(one.place), style="bold"), says])
        grid.add_row(
            says,
            Text(verdict.verdict, style=COLOURS[verdict.verdict]),
            Text(effect_text(verdict)),
            Text(str(verdict.n)),
            Text("–" if verdict.p is None else p_text(verdict.p)),
            Text(seeds_text(verdict)),
        )
    return grid


def _cells(judged: JudgedClaim) -> tuple[str, ...]:
    return (*judged.place, *claim_cells(judged.verdict))
