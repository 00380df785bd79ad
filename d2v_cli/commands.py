"""Commands that are recorded and printed: complete, quoted, and without passwords.

Pasted into a shell in any folder they do what they say. So every path in them is
absolute, and what the environment or a default said stands in them too. An address
that needs a password stands as the variable that holds it.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.mlflow_names import DATABASE_FILE
from ablations.redaction import HIDDEN, redacted

if TYPE_CHECKING:
    from sweeps.tracking.stores import Stores

FOLDERS = ("--storage", "--data-root", "--recipe")
FILES = (".yaml", ".yml")
FLAGS = ("--bars", "--json", "--all", "--open", "--yes", "--until-decided")
"""Options without a value: a study may stand behind them."""
VARIABLES = {"--optuna-storage": "OPTUNA_STORAGE"}
VARIABLE = "MLFLOW_TRACKING_URI"
"""Stands for an address that needs a password, any other option's."""


def typed_command(stores: Stores, data_root: str | None) -> str:
    """What was typed, with what it was typed beside; for the records."""
    words, given = ["d2v"], set[str]()
    option = ""
    for word in sys.argv[1:]:
        if not option and word.startswith("--") and "=" in word:
            name, _, value = word.partition("=")
            words += [name, _absolute(name, value, stores, data_root)]
            given.add(name)
            continue
        words.append(_absolute(option, word, stores, data_root))
        option = word if word.startswith("--") and word not in FLAGS else ""
        given.add(option)
    places = [("--data-root", data_root), *place_options(stores)]
    for name, place in places:
        if place and name not in given:
            words += [name, _absolute(name, place, stores)]
    return joined(words)


def made_command(
    verb: str,
    names: Iterable[str],
    stores: Stores,
    options: Mapping[str, Sequence[str] | str | None],
) -> str:
    """A command that nobody typed: names, options that are given, and the places."""
    words = ["d2v", verb, *(_absolute("", name, stores) for name in names)]
    for name, given in options.items():
        values = [given] if isinstance(given, str) else given or ()
        for value in values:
            words += [name, _absolute(name, value, stores)]
    for name, value in place_options(stores):
        words += [name, value]
    return joined(words)


def place_options(stores: Stores) -> list[tuple[str, str]]:
    """``--storage``, and ``--tracking-uri`` unless it follows from that."""
    options = [("--storage", str(stores.storage))]
    if stores.database != stores.storage / DATABASE_FILE:
        options.append(("--tracking-uri", stores.shown_uri))
    return options


def joined(words: Iterable[str]) -> str:
    """Quoted for a shell; an address without its password becomes the variable."""
    shown, option = list[str](), ""
    for word in map(redacted, words):
        variable = VARIABLES.get(option, VARIABLE)
        hidden = f":{HIDDEN}@" in word
        shown.append(f'"${variable}"' if hidden else shlex.quote(word))
        option = word
    return " ".join(shown)


def _absolute(
    option: str, word: str, stores: Stores, data_root: str | None = None
) -> str:
    """A word that means the same in every folder."""
    if option == "--set":
        from ablations.data_places import whole_assignment

        return whole_assignment(word, data_root)
    if option == "--tracking-uri":
        return stores.shown_uri
    is_study = not option and word.endswith(FILES) and Path(word).is_file()
    if option in FOLDERS or is_study:
        return os.path.abspath(os.path.expanduser(word))
    return word
