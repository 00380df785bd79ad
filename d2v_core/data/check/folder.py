"""A folder of anything: which modality it is for, and what it holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from d2v_core.data.check.checked import Checked
from d2v_core.data.check.pictures import check_images
from d2v_core.data.check.sounds import check_audio
from d2v_core.data.check.texts import check_texts
from d2v_core.data.layouts import source_of
from d2v_core.data.speech.audio_folder import AUDIO_SUFFIXES
from d2v_core.data.text.line_files import SUFFIX
from d2v_core.data.vision.folders import IMAGE_SUFFIXES, source_folder
from d2v_core.data.walk import files_below
from d2v_core.errors import ConfigError, DataError, Problem

SUFFIXES = {"vision": IMAGE_SUFFIXES, "speech": AUDIO_SUFFIXES, "text": (SUFFIX,)}


def check_folder(folder: Path, modality: str | None = None) -> Checked:
    """Tell what a folder is understood as.

    Args:
        folder: Where the data lies.
        modality: For which it is; None: that of most of its files.

    Raises:
        ConfigError: There is no such modality.
        DataError: The folder is not there, or cannot be used.
    """
    folder = source_folder(None, str(folder.expanduser().absolute()))
    chosen = modality or modality_of_files(folder)
    checks = {"vision": check_images, "speech": check_audio, "text": check_texts}
    if chosen not in checks:
        message = f"must be one of {', '.join(checks)}, got {chosen}"
        raise ConfigError([Problem("--modality", message)])
    return checks[chosen](folder, source_of(chosen, folder))


def modality_of_files(folder: Path) -> str:
    """Name the modality of most files.

    Raises:
        DataError: There are none of any.
    """
    counts = Counter[str]()
    for modality, suffixes in SUFFIXES.items():
        counts[modality] = len(files_below(folder, suffixes)[0])
    chosen, count = counts.most_common(1)[0]
    if not count:
        known = " ".join(s for suffixes in SUFFIXES.values() for s in sorted(suffixes))
        raise DataError(
            f"{folder}: must hold images, audio or text ({known}), has none"
        )
    return chosen
