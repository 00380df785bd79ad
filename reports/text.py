r"""Foreign text made harmless for where it goes: one function for each place.

Names, reasons and settings come from a tracking store that others can write to. They
may hold a table's bar, a formula, a terminal's control sequence, a letter that turns
the direction of the line, or a path. Nothing is left out: what cannot be shown is
written as ``\\x1b`` or ``\\u202e``, so that two names that differ still look different.
Add a function here for every new place that text goes to.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from rich.text import Text

MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of cells that a spreadsheet computes."""
KEPT = "\t\n"
"""Control characters that stay: they have an effect of their own nowhere."""
UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, directions and other invisible letters, halves of pairs, line ends."""
JOINERS = "\u200c\u200d"
"""Invisible letters that scripts and emoji need; they turn nothing round."""
FILE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
MAX_FILE_NAME = 200
"""Bytes; file systems take 255, and a suffix may follow."""


def visible(text: str) -> str:
    """Text without letters that act instead of being seen; for XML and SVG as it is."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible_letter, text))


@cache
def _visible_letter(letter: str) -> str:
    if letter in KEPT or letter in JOINERS:
        return letter
    if unicodedata.category(letter) not in UNSAFE_CATEGORIES:
        return letter
    return letter.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """Visible text whose blanks and line ends are single blanks."""
    return visible(" ".join(text.split()))


def quoted(value: object, length: int = 80) -> str:
    """A value for a message: in quotes, its letters visible, cut where it is long."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def for_markdown(text: str) -> str:
    """Text that stays text: no table breaks, no emphasis, no HTML."""
    entities = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return MARKDOWN_SPECIAL.sub(r"\\\1", entities.replace(">", "&gt;"))


def for_csv(value: object) -> object:
    """A cell that no spreadsheet computes: text like a formula gets a quote before it.

    Numbers stay numbers, written as text too.
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def for_terminal(text: str, style: str = "") -> Text:
    """Text for rich: neither markup nor control sequences."""
    return Text(visible(text), style)


def for_file_name(text: str) -> str:
    """The text itself, if it names one file or folder here and nothing elsewhere.

    Raises:
        ValueError: It does not.
    """
    if not FILE_NAME.fullmatch(text) or len(text) > MAX_FILE_NAME:
        requirement = "letters, digits, '.', '_' and '-' alone can name a file"
        raise ValueError(f"{requirement}, got {quoted(text)}")
    return text


def for_filter(tag: str) -> str:
    """A tag's name in backticks for MLflow's search.

    Raises:
        ValueError: It holds a quote of any kind, and MLflow knows no escape for it.
    """
    if not FILE_NAME.fullmatch(tag):
        raise ValueError(f"MLflow cannot search for a tag like {quoted(tag)}")
    return f"tags.`{tag}`"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
