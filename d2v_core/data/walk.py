"""Files of a kind anywhere below a folder, and what else lies there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from d2v_core.data.inventory import is_leftover


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
