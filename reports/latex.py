r"""A table as LaTeX in the style of papers: booktabs rules, notes below.

Needs ``\usepackage{booktabs}``; symbols are plain LaTeX, so any engine typesets it.
"""

from __future__ import annotations

import textwrap

from reports.table import Cell, Column, Row, Table

TITLE_WIDTH = 20
"""Characters of a line of a column title."""

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # After a line break "[" would start an optional argument.
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "Δ": r"$\Delta$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "λ": r"$\lambda$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
}
_TRANSLATION = str.maketrans(SPECIAL)


def to_latex(table: Table) -> str:
    """A floating table with caption, label, booktabs rules and notes."""
    alignment = "".join("r" if column.is_number else "l" for column in table.columns)
    titles = " & ".join(_title(column) for column in table.columns)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape_latex(table.caption)}}}",
        rf"  \label{{tab:{table.name.replace('_', '-')}}}",
        rf"  \begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        rf"    {titles} \\",
        *_body(table),
        r"    \bottomrule",
        r"  \end{tabular}",
        *_notes(table),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Text that stays text, on one line."""
    return " ".join(text.split()).translate(_TRANSLATION)


def _title(column: Column) -> str:
    """A column title, stacked where it is long."""
    lines = [escape_latex(line) for line in textwrap.wrap(column.title, TITLE_WIDTH)]
    if len(lines) == 1:
        return lines[0]
    side = "r" if column.is_number else "l"
    stack = r" \\ ".join(lines)
    return rf"\shortstack[{side}]{{{stack}}}"


def _body(table: Table) -> list[str]:
    """Rows; a rule stands before the first of the arms and of the references."""
    lines: list[str] = []
    for before, row in zip([None, *table.rows], table.rows, strict=False):
        if before is None or before.is_reference != row.is_reference:
            lines.append(r"    \midrule")
        lines.append(f"    {_row(row)} \\\\")
    return lines


def _row(row: Row) -> str:
    return " & ".join(_cell(cell) for cell in row.cells)


def _cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    return f"{text}{_superscript(','.join(cell.marks))}" if cell.marks else text


def _superscript(marks: str) -> str:
    return rf"\textsuperscript{{{marks}}}"


def _notes(table: Table) -> list[str]:
    if not table.notes:
        return []
    notes = [f"{_superscript(n.mark)}\\,{escape_latex(n.text)}" for n in table.notes]
    lines = [f"    {note}.\\\\" for note in notes[:-1]] + [f"    {notes[-1]}."]
    return [
        "",
        r"  \smallskip",
        r"  \begin{minipage}{\linewidth}\footnotesize\raggedright",
        *lines,
        r"  \end{minipage}",
    ]
