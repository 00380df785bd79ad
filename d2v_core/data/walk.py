"""Files of a kind anywhere below a folder, and what else lies there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from d2v_core.data.inventory import is_leftover
from d2v_core.errors import DataError

MIN_FILES = 2
"""One to train on and one to hold out."""


@dataclass(frozen=True)
class FoundFiles:
    """The files of a kind below a folder.

    Attributes:
        root: The folder.
        paths: Files, sorted.
        left_out: How many other files lie there, by reason.
    """

    root: Path
    paths: list[Path]
    left_out: Mapping[str, int]

    def name(self, path: Path) -> str:
        """Path below the folder."""
        return path.relative_to(self.root).as_posix()


def find_files(root: Path, suffixes: Collection[str], what: str) -> FoundFiles:
    """List every file of a kind below a folder.

    Args:
        root: The folder.
        suffixes: In small letters, with their dot.
        what: Name of such files, for messages.

    Raises:
        DataError: There are fewer than two.
    """
    paths, left_out = files_below(root, suffixes)
    if len(paths) < MIN_FILES:
        why = "".join(f"; {count:,} {text}" for text, count in left_out.items())
        raise DataError(
            f"{root}: must hold at least {MIN_FILES} {what} "
            f"({' '.join(sorted(suffixes))}), one to train on and one to hold out, "
            f"found {len(paths)}{why}"
        )
    return FoundFiles(root, paths, left_out)


def files_below(
    root: Path, suffixes: Collection[str]
) -> tuple[list[Path], Counter[str]]:
    """List the files with one of some suffixes, sorted; count the others by reason.

    What is hidden or left by tools is not entered. Links to folders are not followed,
    links to files are.

    Args:
        root: The folder.
        suffixes: In small letters, with their dot.
    """
    paths: list[Path] = []
    others: Counter[str] = Counter()
    for folder, names, files in os.walk(root):
        for name in [name for name in names if is_leftover(name)]:
            inside = sum(len(f) for _, _, f in os.walk(os.path.join(folder, name)))
            others["hidden or left by tools"] += inside
            names.remove(name)
        for name in files:
            suffix = os.path.splitext(name)[1].lower()
            if is_leftover(name):
                others["hidden or left by tools"] += 1
            elif suffix in suffixes:
                paths.append(Path(folder, name))
            else:
                kind = f"unknown suffix {suffix}" if suffix else "no suffix"
                others[f"with {kind}"] += 1
    return sorted(paths), others
