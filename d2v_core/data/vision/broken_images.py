"""Image files that do not decode: named before training, or left out and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2v_core.config.vision import OnError
from d2v_core.data.inventory import visible
from d2v_core.errors import DataError

SHOWN = 10
"""Files that an error names."""
NOTED = 3
"""Files that a note names."""


@dataclass(frozen=True)
class Broken:
    """File that does not decode.

    Attributes:
        index: Its place among the files of its split.
        path: The file.
        reason: The decoder's.
    """

    index: int
    path: Path
    reason: str


@dataclass(frozen=True)
class CheckedSplit:
    """Split of which every file has been decoded once.

    Attributes:
        labels: Class index of each file, int64.
        broken: The files that do not decode.
    """

    labels: np.ndarray
    broken: Sequence[Broken]

    @property
    def kept(self) -> np.ndarray:
        """Indices of the other files, sorted."""
        lost = [file.index for file in self.broken]
        return np.setdiff1d(np.arange(len(self.labels)), lost)

    def lost_classes(self) -> list[int]:
        """List classes of which no file is left."""
        left = set(self.labels[self.kept].tolist())
        return sorted(set(self.labels.tolist()) - left)


def settle_broken(
    splits: Mapping[str, CheckedSplit],
    *,
    root: Path,
    classes: Sequence[str],
    on_error: OnError,
) -> tuple[str, ...]:
    """Refuse broken files, or tell a reader of results which are left out.

    Args:
        splits: All splits of a data set.
        root: The files' common folder.
        classes: Class names.
        on_error: ``raise`` refuses any broken file.

    Raises:
        DataError: Broken files, of all splits at once, or a class that loses every
            file of a split.
    """
    broken = [file for split in splits.values() for file in split.broken]
    num_files = sum(len(split.labels) for split in splits.values())
    if not broken:
        return ()
    if on_error == "raise":
        raise DataError(
            f"data: every image must decode, {len(broken):,} of {num_files:,} do not; "
            "remove or replace them, or set data.on_error to skip:\n" + _listed(broken)
        )
    for name, split in splits.items():
        if lost := split.lost_classes():
            names = ", ".join(repr(classes[label]) for label in lost)
            inside = [f for f in split.broken if split.labels[f.index] in lost]
            raise DataError(
                f"data: every class must keep images, in {name} no file of {names} "
                f"decodes; replace them:\n{_listed(inside)}"
            )
    shown = [
        visible(f"{f.path.relative_to(root)} ({f.reason})") for f in broken[:NOTED]
    ]
    more = [f"and {len(broken) - NOTED:,} more"] if len(broken) > NOTED else []
    return (
        f"{len(broken):,} of {num_files:,} files left out, they do not decode: "
        + ", ".join([*shown, *more]),
    )


def _listed(broken: Sequence[Broken]) -> str:
    lines = [f"  {file.path}: {file.reason}" for file in broken[:SHOWN]]
    if len(broken) > SHOWN:
        lines.append(f"  and {len(broken) - SHOWN:,} more")
    return "\n".join(lines)
