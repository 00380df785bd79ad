"""From statistics to the table a reader sees: text and number of every cell, notes.

Formats (:mod:`reports.tables.formats`, :mod:`reports.tables.latex`,
:mod:`reports.tables.console`, :mod:`reports.page.report_page`) only lay it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ablations.record import Manifest, ManifestArm
from reports.statistics.summary import ArmResult, Estimate, StudyResult
from reports.store.manifests import place_name
from reports.tables.caption import methods, short_caption
from reports.tables.paper import PaperNumbers, paper_numbers, paper_place
from reports.tables.wording import (
    LEAST_FOR_INTERVAL,
    p_text,
    plus_minus,
    shown_half_width,
    trouble,
)

NOT_REPORTED = "not reported"
NOTHING = "–"
NO_RESULT = (
    *("failed", "diverged", "out_of_memory", "timed_out"),
    *("unfinished", "missing"),
)
"""Statuses without a value, the one that says most first."""
ColumnKey = Literal[
    "arm", "n", "value", "difference", "p", "gain", "paper", "paper_arm"
]
SUPERSCRIPTS = dict(zip("0123456789dr", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵈʳ", strict=True))


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Which one, whatever its title says.
        title: For people.
        is_number: Whether it is aligned to the right.
    """

    key: ColumnKey
    title: str
    is_number: bool


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: As printed, without marks.
        value: The number in it, unrounded.
        half_width: Half the 95 % interval, from three seeds on; or the reading error of
            a paper's number.
        marks: Keys into :attr:`Table.notes`.
    """

    text: str
    value: float | None = None
    half_width: float | None = None
    marks: tuple[str, ...] = ()

    @property
    def superscript(self) -> str:
        """The marks as Unicode superscripts, ``¹,²``."""
        return ",".join(superscript(mark) for mark in self.marks)

    @property
    def marked_text(self) -> str:
        """Text and marks, ``84.02 ± 0.02 ᵈ``."""
        return f"{self.text} {self.superscript}" if self.marks else self.text


@dataclass(frozen=True)
class Row:
    """One arm; cells stand in the order of the table's columns."""

    label: str
    is_reference: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Note:
    """A footnote."""

    mark: str
    text: str

    @property
    def superscript(self) -> str:
        """The mark as Unicode superscript."""
        return superscript(self.mark)


@dataclass(frozen=True)
class Table:
    """A table, complete but for its layout.

    Attributes:
        name: For labels: study, modality, scale.
        title: The study's.
        caption: Two sentences: what is shown, and what the numbers are.
        methods: How they were made and what not to compare.
        columns: In order.
        rows: The study's arms, then the reference arms.
        notes: Footnotes in the order of their marks.
    """

    name: str
    title: str
    caption: str
    methods: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[Note, ...]

    def cell(self, label: str, key: ColumnKey) -> Cell:
        """The cell of an arm."""
        column = [column.key for column in self.columns].index(key)
        return next(row for row in self.rows if row.label == label).cells[column]


@dataclass
class _Notes:
    """Footnotes as they are first referred to; the same text gets the same mark."""

    marks: dict[str, str] = field(default_factory=dict)
    num_numbered: int = 0

    def number(self, text: str) -> str:
        """The mark of a numbered note."""
        if text not in self.marks:
            self.num_numbered += 1
            self.marks[text] = str(self.num_numbered)
        return self.marks[text]

    def letter(self, mark: str, text: str) -> str:
        """A note with a mark of its own."""
        return self.marks.setdefault(text, mark)

    def listed(self) -> tuple[Note, ...]:
        """Numbers first, then letters."""
        notes = [Note(mark, text) for text, mark in self.marks.items()]
        return tuple(sorted(notes, key=lambda note: not note.mark.isdigit()))


def superscript(mark: str) -> str:
    """A mark in Unicode superscripts, ``"12"`` to ``"¹²"``."""
    return "".join(SUPERSCRIPTS[letter] for letter in mark)


def build_table(result: StudyResult, manifest: Manifest) -> Table:
    """The table of a study."""
    paper = paper_numbers(manifest)
    columns = _columns(result, manifest, paper)
    notes = _Notes()
    arms = {arm.label: arm for arm in manifest.arms}
    rows = tuple(
        Row(
            arm.label,
            arm.is_reference,
            tuple(
                _cell(column.key, arm, arms[arm.label], result, paper, notes)
                for column in columns
            ),
        )
        for arm in result.arms
    )
    return Table(
        name=place_name(manifest),
        title=manifest.study["title"],
        caption=short_caption(result, manifest),
        methods=methods(result, manifest, paper),
        columns=columns,
        rows=rows,
        notes=notes.listed(),
    )


def _columns(
    result: StudyResult, manifest: Manifest, paper: PaperNumbers | None
) -> tuple[Column, ...]:
    columns = [
        Column("arm", "arm", False),
        Column("n", "seeds", False),
        Column("value", result.metric.title, True),
    ]
    if result.baseline:
        columns.append(Column("difference", f"difference to {result.baseline}", True))
        if result.has_tests:
            columns.append(Column("p", "p (Holm)", True))
    if result.untrained:
        better = result.metric.higher_is_better
        word = "gain over" if better else "difference to"
        columns.append(Column("gain", f"{word} {result.untrained}", True))
    if paper:
        columns.append(Column("paper", f"paper: {paper.metric}", True))
        if manifest.study.get("axis"):
            columns.append(Column("paper_arm", "paper's arm", False))
    elif paper_place(manifest):
        columns.append(Column("paper", "paper", True))
    return tuple(columns)


def _cell(
    key: ColumnKey,
    arm: ArmResult,
    planned: ManifestArm,
    result: StudyResult,
    paper: PaperNumbers | None,
    notes: _Notes,
) -> Cell:
    if key == "arm":
        return Cell(arm.label)
    if key == "n":
        return _count_cell(arm, notes)
    if key == "value":
        return _value_cell(arm, notes)
    if key == "paper_arm":
        return Cell(planned.paper["at"] if planned.paper else NOTHING)
    if key == "p":
        return _p_cell(arm)
    if key == "paper":
        return _paper_cell(arm, planned, paper, notes)
    other = result.baseline if key == "difference" else result.untrained
    change = arm.difference if key == "difference" else arm.gain
    return _change_cell(arm, change, is_other=arm.label == other, notes=notes)


def _count_cell(arm: ArmResult, notes: _Notes) -> Cell:
    text = f"{len(arm.values)}/{len(arm.seeds)}"
    if arm.num_collapsed:
        text += f", {arm.num_collapsed} collapsed"
    problem = trouble(arm.seeds)
    marks = (notes.number(problem),) if problem else ()
    return Cell(text, value=len(arm.values), marks=marks)


def _value_cell(arm: ArmResult, notes: _Notes) -> Cell:
    if arm.mean is None:
        return Cell(_no_result([seed.status for seed in arm.seeds]))
    return _estimate_cell(arm.mean, plus_minus(arm.mean), "one seed", notes)


def _p_cell(arm: ArmResult) -> Cell:
    return Cell(NOTHING if arm.p is None else p_text(arm.p), arm.p)


def _change_cell(
    arm: ArmResult, change: Estimate | None, *, is_other: bool, notes: _Notes
) -> Cell:
    if is_other or change is None:
        return Cell(NOTHING)
    text = plus_minus(change, signed=True)
    cell = _estimate_cell(change, text, "one common seed", notes)
    if change.n < LEAST_FOR_INTERVAL or change.n == len(arm.values):
        return cell
    fewer = notes.number(f"over the {change.n} seeds both arms have")
    return Cell(cell.text, cell.value, cell.half_width, (*cell.marks, fewer))


def _estimate_cell(estimate: Estimate, text: str, one_seed: str, notes: _Notes) -> Cell:
    marks: tuple[str, ...] = ()
    half = shown_half_width(estimate)
    if half is None:
        few = one_seed if estimate.n == 1 else one_seed.replace("one", "two") + "s"
        marks = (notes.number(f"{few}: no interval"),)
    return Cell(text, estimate.mean, half, marks)


def _no_result(statuses: Sequence[str]) -> str:
    for status in NO_RESULT:
        if status in statuses:
            return status.replace("_", " ")
    return "no value"


def _paper_cell(
    arm: ArmResult, planned: ManifestArm, paper: PaperNumbers | None, notes: _Notes
) -> Cell:
    number = planned.paper
    if number is None or paper is None:
        return Cell(NOTHING if arm.is_reference else NOT_REPORTED)
    mark = notes.letter(paper.mark, paper.note)
    return Cell(
        paper.text(number["value"]), number["value"], number["tolerance"], (mark,)
    )
