"""The scorecard for GitHub, programs and the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from reports.claims.scorecard import AllClaims, UnrunClaims, tally
from reports.claims.view import (
    CLAIM_COLUMNS,
    HEAD,
    LEGEND,
    JudgedClaim,
    claim_cells,
    claim_row,
    claims_console,
)
from reports.tables.formats import rows_csv
from reports.text import for_markdown, for_terminal

CAPTION = (
    "Every claim on the trials of its own study, modality and scale; one that was run "
    "at several scales is judged at each. Verdicts are about signs and orders at that "
    "scale; levels are never compared across scales or with the paper's. "
    f"{LEGEND}"
)
NOT_RUN, NOT_REPORTED = "not run", "not reported"
UNRUN_HEAD = ("study", "modality", "claims", "command")


FAULT_HEAD = ("study", "modality", "scale", "fault")


def scorecard_markdown(claims: AllClaims) -> str:
    """For GitHub."""
    head = ("study", "modality", "scale", *HEAD)
    judged = [(*one.place, *claim_cells(one.verdict)) for one in claims.judged]
    parts = ["# Scorecard", tally(claims), _markdown_table(head, judged), CAPTION]
    if claims.faults:
        rows = [(*one.place, one.message) for one in claims.faults]
        parts += ["## Not reported", _markdown_table(FAULT_HEAD, rows)]
    if claims.unrun:
        rows = [
            (one.study, one.modality, "\n".join(one.texts), one.command)
            for one in claims.unrun
        ]
        parts += ["## Not run yet", _markdown_table(UNRUN_HEAD, rows)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines of a cell stay lines."""
    escaped = [
        ["<br>".join(map(for_markdown, cell.splitlines())) for cell in row]
        for row in rows
    ]
    lines = [" | ".join(row) for row in (head, ["---"] * len(head), *escaped)]
    return "\n".join(f"| {line} |" for line in lines)


def claims_csv(claims: Iterable[JudgedClaim]) -> str:
    """For programs, numbers unrounded."""
    return rows_csv([claim_row(one) for one in claims], CLAIM_COLUMNS)


def scorecard_csv(claims: AllClaims) -> str:
    """The same as :func:`claims_csv`, with what was not run or not reported.

    Claims that were not run have no scale and no numbers.
    """
    rows = [claim_row(one) for one in claims.judged]
    names = ("study", "modality", "scale")
    rows += [
        {
            **dict(zip(names, fault.place, strict=True)),
            **{"verdict": NOT_REPORTED, "n": 0, "reason": fault.message},
        }
        for fault in claims.faults
    ]
    rows += [
        {
            **{"study": one.study, "modality": one.modality, "verdict": NOT_RUN},
            **{"claim": claim.id, "says": claim.says, "where": claim.where, "n": 0},
        }
        for one in claims.unrun
        for claim in one.claims
    ]
    return rows_csv(rows, CLAIM_COLUMNS)


def claims_json(claims: AllClaims) -> str:
    """For programs: what was judged, what was not run, what could not be reported."""
    data = {
        "version": 1,
        "judged": [claim_row(one) for one in claims.judged],
        "not_run": [
            {
                **{"study": one.study, "modality": one.modality, "claim": claim.id},
                **{"says": claim.says, "where": claim.where, "command": one.command},
            }
            for one in claims.unrun
            for claim in one.claims
        ],
        "not_reported": [
            {
                **dict(zip(("study", "modality", "scale"), one.place, strict=True)),
                "fault": one.message,
            }
            for one in claims.faults
        ],
        "narrowed": claims.narrowed,
    }
    return json.dumps(data, indent=1) + "\n"


def scorecard_console(claims: AllClaims) -> Group:
    """For a terminal; the evidence stands under each study's own table."""
    parts: list[RenderableType] = [Text(f"Scorecard. {tally(claims)}", style="bold")]
    for place, judged in groupby(claims.judged, key=lambda one: one.place):
        parts += [
            for_terminal(f"\n{' · '.join(place)}", "bold"),
            claims_console([one.verdict for one in judged]),
        ]
    parts += [for_terminal(f"\nNot reported: {one}", "red") for one in claims.faults]
    if claims.unrun:
        parts += [
            Text("\nNot run yet: d2v run STUDY --modality MODALITY", style="bold"),
            _unrun_grid(claims.unrun),
        ]
    return Group(*parts)


def _unrun_grid(unrun: Iterable[UnrunClaims]) -> RichTable:
    """A line for each study: how many claims in which modality."""
    grid = RichTable.grid(padding=(0, 2))
    for study, places in groupby(unrun, key=lambda one: one.study):
        counts = [f"{one.modality}: {len(one.claims)}" for one in places]
        grid.add_row(Text(study), Text(", ".join(counts)))
    return grid
