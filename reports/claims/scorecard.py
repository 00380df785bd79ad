"""All claims of a store beside each other: ``d2v report --all`` ends with it.

The paper's claims are those of the shipped studies; the ones that no run of the store
tests stand apart as not run yet, and claims of users' own studies are counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from ablations.library import load_study, study_names
from ablations.record import Manifest
from ablations.study.claims import Claim
from reports.claims.view import (
    CLAIM_COLUMNS,
    COLOURS,
    HEAD,
    LEGEND,
    JudgedClaim,
    claim_cells,
    claim_row,
    claims_grid,
)
from reports.page.templating import render
from reports.store.foreign import Location
from reports.tables.formats import rows_csv
from reports.tables.wording import counted
from reports.text import for_markdown, for_terminal, one_line

CAPTION = (
    "Every claim on the trials of its own study, modality and scale; one that was run "
    "at several scales is judged at each. Verdicts are about signs and orders at that "
    "scale; levels are never compared across scales or with the paper's. "
    f"{LEGEND}"
)
NOT_RUN, NOT_REPORTED = "not run", "not reported"
UNRUN_HEAD = ("study", "modality", "claims", "command")


FAULT_HEAD = ("study", "modality", "scale", "fault")


@dataclass(frozen=True)
class Fault:
    """Why a study of the store has no report.

    Attributes:
        place: Study, modality, scale.
        message: Run, field, and what is wrong with it.
        is_ours: Whether the program is at fault, not what the store holds.
    """

    place: Location
    message: str
    is_ours: bool = False

    def __str__(self) -> str:
        study, modality, scale = self.place
        return one_line(f"study {study} ({modality}, {scale}): {self.message}")


@dataclass(frozen=True)
class UnrunClaims:
    """Claims of a shipped study in a modality that no run of the store has.

    Attributes:
        study: Its name.
        modality: The modality.
        claims: Never empty.
    """

    study: str
    modality: str
    claims: tuple[Claim, ...]

    @property
    def command(self) -> str:
        """Tests them."""
        return f"d2v run {self.study} --modality {self.modality}"

    @property
    def texts(self) -> list[str]:
        """Every sentence with its place in the paper."""
        return [f"{c.says} ({c.where})" if c.where else c.says for c in self.claims]


@dataclass(frozen=True)
class AllClaims:
    """Everything a scorecard shows.

    Attributes:
        judged: In order.
        unrun: The paper's other claims.
        narrowed: To which modality and scale, for people; empty: to none.
        faults: Studies of the store without a report.
    """

    judged: tuple[JudgedClaim, ...]
    unrun: tuple[UnrunClaims, ...] = ()
    narrowed: str = ""
    faults: tuple[Fault, ...] = ()

    @property
    def num_unrun(self) -> int:
        """The paper's claims that were not run yet."""
        return sum(len(one.claims) for one in self.unrun)


def unrun_claims(
    runs: Iterable[Manifest],
    modality: str | None = None,
    unread: Collection[tuple[str, str]] = (),
) -> tuple[UnrunClaims, ...]:
    """Claims of the shipped studies that no run tests, whatever its scale.

    Args:
        runs: All of the store.
        modality: Only this one.
        unread: Studies and modalities with a run whose plan cannot be used; what that
            tests is not known.
    """
    tested = {
        (run.study["name"], run.modality, claim["id"])
        for run in runs
        for claim in run.study.get("claims", ())
    }
    unrun = []
    for study in map(load_study, study_names()):
        for kind in study.metric:
            claims = study.for_modality(kind).claims
            left = tuple(c for c in claims if (study.name, kind, c.id) not in tested)
            is_known = (study.name, kind) not in unread
            if left and is_known and modality in (None, kind):
                unrun.append(UnrunClaims(study.name, kind, left))
    return tuple(unrun)


def tally(claims: AllClaims) -> str:
    """Count the outcomes, the paper's and then those of users' own studies."""
    shipped = study_names()
    paper = [one for one in claims.judged if one.study in shipped]
    own = [one for one in claims.judged if one.study not in shipped]
    judged = counted(len(paper), "judged claim")
    sentences = [f"{judged} of the paper: {_outcomes(paper, claims.num_unrun)}."]
    if own:
        judged = counted(len(own), "judged claim")
        sentences.append(f"{judged} of your own studies: {_outcomes(own)}.")
    if claims.faults:
        studies = counted(len(claims.faults), "study run")
        sentences.append(f"{studies} could not be reported, see below.")
    if claims.narrowed:
        sentences.append(f"Only {claims.narrowed}; other runs are left out.")
    return " ".join(sentences)


def _outcomes(judged: Iterable[JudgedClaim], num_unrun: int = 0) -> str:
    counts = Counter[str](one.verdict.verdict for one in judged)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in COLOURS)
    return f"{listed}; {num_unrun} more not run yet" if num_unrun else listed


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


def scorecard_html(claims: AllClaims, pages: dict[str, str]) -> str:
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
            for one in claims.judged
        ],
        faults=claims.faults,
        fault_head=FAULT_HEAD,
        unrun=claims.unrun,
        unrun_head=UNRUN_HEAD,
        num_unrun=claims.num_unrun,
    )


def scorecard_console(claims: AllClaims) -> Group:
    """For a terminal; the evidence stands under each study's own table."""
    parts: list[RenderableType] = [Text(f"Scorecard. {tally(claims)}", style="bold")]
    for place, judged in groupby(claims.judged, key=lambda one: one.place):
        parts += [
            for_terminal(f"\n{' · '.join(place)}", "bold"),
            claims_grid([one.verdict for one in judged], with_reason=False),
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
