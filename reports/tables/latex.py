r"""A table as LaTeX in the style of papers: booktabs rules, notes below.

Needs ``\usepackage{booktabs,graphicx}``; symbols are plain LaTeX, so any engine
typesets it. A table wider than the text is shrunk to its width.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from functools import cache
from typing import Literal

from reports.tables.table import Cell, Column, Row, Table

Caption = Literal["short", "full"]
TITLE_WIDTH = 14
"""Characters of a line of a column title."""
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
LETTERS = set("ßæœøłÆŒØŁ")
"""Besides accented ones, those that every font encoding has."""
NOT_SET = ("", "\u0328")
"""No accent, and the one that the default encoding has not: the ogonek."""

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
    '"': r"{\char34}",  # \textquotedbl needs T1
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
    "²": "$^2$",
    "³": "$^3$",
}
GREEK = re.compile(
    "GREEK (SMALL LETTER (?!OMICRON)|CAPITAL LETTER "
    "(?=GAMMA|DELTA|THETA|LAMDA|XI|PI|SIGMA|UPSILON|PHI|PSI|OMEGA))([A-Z]+)"
)
"""Unicode's names of the letters that LaTeX has by name."""


def to_latex(table: Table, caption: Caption = "short") -> str:
    """A floating table with caption, label, booktabs rules and notes.

    Args:
        table: The table.
        caption: Two sentences, with the methods in a comment, for the paper's text,
            where all tables need them once; or everything in the caption.
    """
    is_full = caption == "full"
    text = f"{table.caption} {table.methods}" if is_full else table.caption
    alignment = "".join("r" if column.is_number else "l" for column in table.columns)
    titles = " & ".join(_title(column) for column in table.columns)
    lines = [
        r"% needs \usepackage{booktabs,graphicx}",
        *([] if is_full else [f"% methods: {escape_latex(table.methods)}"]),
        r"\begin{table}",
        r"  \centering\small\setlength{\tabcolsep}{4pt}",
        rf"  \caption{{{escape_latex(text)}}}",
        rf"  \label{{tab:{table.name.replace('_', '-')}}}\par\smallskip",
        rf"  {FITTED}{{\begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        rf"    {titles} \\",
        *_body(table),
        r"    \bottomrule",
        r"  \end{tabular}}",
        *_notes(table),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Text that stays text, on one line; what no font has is named by its number."""
    return "".join(map(_escape_letter, " ".join(text.split())))


@cache
def _escape_letter(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter)
    if letter in SPECIAL:
        return SPECIAL[letter]
    if letter in LETTERS or (letter.isascii() and letter.isprintable()):
        return letter
    if letter <= "\u017f" and unicodedata.normalize("NFD", letter)[1:] not in NOT_SET:
        return letter
    greek = GREEK.fullmatch(unicodedata.name(letter, ""))
    if greek and "Α" <= letter <= "ω":
        name = greek[2].lower().replace("lamda", "lambda")
        return f"$\\{name.title() if greek[1].startswith('CAPITAL') else name}$"
    if plain.isascii() and plain.isprintable():
        return "".join(map(_escape_letter, plain))
    return rf"\texttt{{U+{ord(letter):04X}}}"


def _title(column: Column) -> str:
    """A column title, stacked where it is long."""
    wrapped = textwrap.wrap(column.title, TITLE_WIDTH, break_on_hyphens=False)
    lines = [escape_latex(line) for line in wrapped]
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
