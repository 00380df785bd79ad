"""The source that reads a folder, told from what lies in it; names only, no content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from d2v_core.data.inventory import is_leftover

LABEL_SUFFIXES = (".wrd", ".ltr", ".labels.tsv")
"""What stands beside a manifest and gives its files labels."""


def source_of(modality: str, folder: Path) -> str:
    """Name the source of a modality that reads a folder as it is.

    Args:
        modality: One of :data:`LAYOUTS`.
        folder: An existing folder.

    Returns:
        The source for a folder with the names that tell labels, splits or manifests,
        else the one that takes whatever files there are.
    """
    return LAYOUTS[modality](folder)


def _vision(folder: Path) -> str:
    split = any(_has_folders(folder / name) for name in ("train", "test"))
    return "image_folder" if split else "images"


def _speech(folder: Path) -> str:
    beside = any((folder / f"train{suffix}").is_file() for suffix in LABEL_SUFFIXES)
    return "manifest" if beside and (folder / "train.tsv").is_file() else "audio_folder"


def _text(folder: Path) -> str:
    return "lines" if (folder / "train.txt").is_file() else "text_folder"


LAYOUTS: Mapping[str, Callable[[Path], str]] = {
    "vision": _vision,
    "speech": _speech,
    "text": _text,
}
"""By modality: from a folder to the name of its source."""


def _has_folders(folder: Path) -> bool:
    """Whether a folder holds folders, as a split holds one for each class."""
    return folder.is_dir() and any(
        entry.is_dir() and not is_leftover(entry.name) for entry in folder.iterdir()
    )
