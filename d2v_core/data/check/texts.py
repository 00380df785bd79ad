"""A folder of text files, looked at."""

from __future__ import annotations

from pathlib import Path

from d2v_core.config.text import LinesData, TextFolderData
from d2v_core.data.check.checked import Checked, Shown, extent, spread
from d2v_core.data.file_errors import FileErrors, decoded_lines
from d2v_core.data.inventory import listed, too_few
from d2v_core.data.text.line_files import corpus_files
from d2v_core.errors import DataError
from d2v_core.sizing import TextFacts

SHOWN_CHARACTERS = 400
BLOCK = 200
"""Characters of a row, about: 64 tokens."""


def check_texts(folder: Path, source: str) -> Checked:
    """Read every line of a folder's text files once and tell what it holds.

    Args:
        folder: An existing folder.
        source: ``text_folder`` or ``lines``.

    Raises:
        DataError: It cannot be used.
    """
    data = LinesData if source == "lines" else TextFolderData
    corpus = corpus_files(data(folder=str(folder)))
    lengths, empty, num_words, errors = list[int](), [], 0, FileErrors()
    for file in corpus.files:
        before = len(lengths)
        for _, line in decoded_lines(file, errors):
            if text := line.strip():
                lengths.append(len(text))
                num_words += len(text.split())
        if len(lengths) == before:
            empty.append(file.relative_to(folder).as_posix())
    if not lengths:
        raise DataError(f"{folder}: must hold lines of text, holds none")
    left_out = ", ".join(f"{n:,} {why}" for why, n in corpus.left_out.items())
    warnings = [
        *errors.notes("skip"),
        *([f"without any text: {listed(empty)}"] if empty else []),
        *too_few(len(lengths), "lines of text"),
    ]
    return Checked(
        modality="text",
        source=source,
        labelled=False,
        facts=(
            ("text files", f"{len(corpus.files):,}"),
            ("lines", f"{len(lengths):,}"),
            ("words", f"{num_words:,}"),
            ("characters", f"{sum(lengths):,}"),
            ("characters of a line", extent(lengths)),
            ("split", "all of it is trained on"),
            ("labels", "none of its own: evaluation.tasks names labelled tasks"),
            ("left out", left_out or "nothing"),
        ),
        warnings=tuple(warnings),
        samples=tuple(
            _shown(corpus.files[i], folder) for i in spread(len(corpus.files))
        ),
        # Lines are joined to blocks: each is about as long as it may be.
        sizes=TextFacts(-(-sum(lengths) // BLOCK), BLOCK, sum(lengths)),
    )


def _shown(file: Path, folder: Path) -> Shown:
    text = ""
    for _, line in decoded_lines(file, FileErrors()):
        text += f"{line}\n" if line.strip() else ""
        if len(text) > SHOWN_CHARACTERS:
            text = f"{text[:SHOWN_CHARACTERS]}…"
            break
    name = file.relative_to(folder).as_posix()
    return Shown(name=name, about=f"{file.stat().st_size:,} bytes", text=text)
