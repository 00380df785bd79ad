"""The table for a terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from reports.tables.table import Row, Table
from reports.text import for_terminal, visible

PAPER_TITLE = "paper, at"

GAP = 2
"""Blanks between columns."""


@dataclass(frozen=True)
class ConsoleView:
    """Title and table, to be printed with rich; verbose also caption and notes.

    Shorter than the other formats, to fit 80 columns: the paper's number stands with
    its arm, its reading error in the note below.
    Where it does not fit all the same, cells take more lines, then words are broken;
    nothing is cut off. A column of a paper that has no numbers is left out. Text from
    YAML is not read as markup.
    """

    table: Table
    verbose: bool = False

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Text from top to bottom."""
        shown = self.table if self.verbose else _unmarked(self.table)
        yield _grid(shown, options.max_width)
        if not self.verbose:
            return
        yield Text()
        yield for_terminal(f"{self.table.caption} {self.table.methods}", "dim")
        for note in self.table.notes:
            yield for_terminal(f"{note.superscript} {note.text}")


def console_view(table: Table, *, verbose: bool = False) -> ConsoleView:
    """The table for ``rich.console.Console.print``."""
    return ConsoleView(table, verbose)


def _unmarked(table: Table) -> Table:
    """The table without marks, whose notes are not shown."""
    rows = tuple(
        replace(row, cells=tuple(replace(cell, marks=()) for cell in row.cells))
        for row in table.rows
    )
    return replace(table, rows=rows)


def _grid(table: Table, width: int) -> RichTable:
    grid = RichTable(
        title=for_terminal(table.title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, GAP - 1, 0, 0),
    )
    table = _without_empty_paper(table)
    rows = [_short_texts(table, row) for row in table.rows]
    columns = [column for column in table.columns if column.key != "paper_arm"]
    titles = [PAPER_TITLE if c.key == "paper" else c.title for c in columns]
    titles = [visible(title) for title in titles]
    longest = [
        max(map(len, (*title.split(), *texts)))
        for title, texts in zip(titles, zip(*rows, strict=True), strict=True)
    ]
    words = [
        max(len(word) for text in (title, *texts) for word in text.split() or [""])
        for title, texts in zip(titles, zip(*rows, strict=True), strict=True)
    ]
    natural = [max(pair) for pair in zip(longest, map(len, titles), strict=True)]
    gaps = GAP * (len(titles) - 1)
    fits, is_tight = sum(longest) + gaps <= width, sum(natural) + gaps > width
    least = longest if fits else words if sum(words) + gaps <= width else None
    for i, (column, title, length) in enumerate(
        zip(columns, titles, longest, strict=True)
    ):
        grid.add_column(
            for_terminal(title),
            justify="right" if column.is_number else "left",
            min_width=least[i] if least else None,
            max_width=length if fits and is_tight else None,  # titles wrap first
            overflow="fold",
        )
    for before, row, texts in zip([None, *table.rows], table.rows, rows, strict=False):
        if before is not None and row.is_reference and not before.is_reference:
            grid.add_section()
        grid.add_row(*map(for_terminal, texts))
    return grid


def _without_empty_paper(table: Table) -> Table:
    """The table without the paper's columns if they say nothing."""
    paper = [i for i, c in enumerate(table.columns) if c.key.startswith("paper")]
    if any(row.cells[i].value is not None for row in table.rows for i in paper):
        return table
    kept = [i for i in range(len(table.columns)) if i not in paper]
    rows = (replace(row, cells=tuple(row.cells[i] for i in kept)) for row in table.rows)
    columns = tuple(table.columns[i] for i in kept)
    return replace(table, columns=columns, rows=tuple(rows))


def _short_texts(table: Table, row: Row) -> list[str]:
    """The cells of a row, the paper's arm joined to the paper's number."""
    cells = {c.key: cell for c, cell in zip(table.columns, row.cells, strict=True)}
    arm = cells.pop("paper_arm", None)
    texts = {key: cell.marked_text for key, cell in cells.items()}
    paper = cells.get("paper")
    if paper is not None and paper.value is not None and arm is not None:
        number = paper.text.partition(" ± ")[0]
        texts["paper"] = " ".join(filter(None, (number, paper.superscript, arm.text)))
    return [visible(text) for text in texts.values()]
