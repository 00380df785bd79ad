"""fairseq manifests of audio files with transcripts and labels beside them.

``examples/wav2vec/wav2vec_manifest.py`` writes ``<split>.tsv``, ``libri_labels.py``
``<split>.wrd`` and ``<split>.ltr``; ``<split>.labels.tsv`` is this project's own.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from d2v_core.data.speech.utterances import WORD_BOUNDARY, AudioFile, Listing

MAX_BYTES = 2**30
"""Bytes of a file."""
MAX_LINE = 65_536
"""Characters of a line."""
MAX_DIGITS = 12
"""Digits of a number of samples."""
SHOWN = 200
"""Characters of a wrong line that an error shows."""


def read_manifest(folder: Path, split: str) -> Listing:
    """List a split; what is wrong with its manifest and transcripts is in ``errors``.

    Args:
        folder: Where the manifests are.
        split: Path of the manifest below it, without ``.tsv``.
    """
    manifest = folder / f"{split}.tsv"
    errors: list[str] = []
    files = _read_files(manifest, errors)
    companions = {
        suffix: path
        for suffix in (".wrd", ".ltr", ".labels.tsv")
        if (path := folder / f"{split}{suffix}").is_file()
    }
    words = _read_words(companions, len(files), errors)
    labels: dict[str, tuple[str, ...]] = {}
    if ".labels.tsv" in companions and files:
        labels = _read_labels(companions[".labels.tsv"], manifest, files, errors)
    return Listing(
        name=split,
        files=tuple(files),
        texts=words,
        labels=labels,
        sources=(manifest, *companions.values()) if manifest.is_file() else (),
        errors=tuple(errors),
    )


def _lines(path: Path, errors: list[str]) -> list[str]:
    """Read lines without byte order marks: files put together may hold several."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            errors.append(
                f"{path}: must have at most {MAX_BYTES:,} bytes, has {size:,}"
            )
            return []
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        errors.append(f"{path}: must be UTF-8, byte {error.start} is not")
        return []
    except OSError as error:
        errors.append(f"{path}: cannot be read: {error.strerror}")
        return []
    lines = [line.removeprefix("\ufeff") for line in text.split("\n")]
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE or "\0" in line:
            message = f"must be text of at most {MAX_LINE:,} characters"
            errors.append(f"{path}:{number}: {message}")
            return []
    return lines if lines[-1] else lines[:-1]


def has_mark(path: Path) -> bool:
    """Whether a manifest or its transcripts begin with a byte order mark."""
    if path.suffix not in (".tsv", ".wrd", ".ltr"):
        return False
    with path.open("rb") as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _read_files(manifest: Path, errors: list[str]) -> list[AudioFile]:
    if not manifest.is_file():
        errors.append(f"{manifest}: there is no such manifest")
        return []
    first, *rows = _lines(manifest, errors) or [""]
    if "\t" in first:
        errors.append(f"{manifest}:1: must be the folder of the audio, got {first!r}")
        return []
    files = []
    for number, row in enumerate(rows, start=2):
        path, _, count = row.partition("\t")
        if not path or not count.isdecimal() or len(count) > MAX_DIGITS:
            message = "must be path<TAB>num_samples"
            errors.append(f"{manifest}:{number}: {message}, got {row[:SHOWN]!r}")
            continue
        files.append(AudioFile(manifest.parent / first / path, int(count)))
    if not rows:
        errors.append(f"{manifest}: must list at least one file, lists none")
    return files


def _read_words(
    companions: dict[str, Path], num_files: int, errors: list[str]
) -> tuple[str, ...] | None:
    texts: dict[str, tuple[str, ...]] = {}
    for suffix, path in companions.items():
        if suffix == ".labels.tsv":
            continue
        lines = _lines(path, errors)
        if num_files and len(lines) != num_files:
            message = (
                f"must have one line for each of {num_files} files of the manifest"
            )
            errors.append(f"{path}: {message}, has {len(lines)}")
            continue
        texts[suffix] = tuple(map(_spell if suffix == ".ltr" else _tidy, lines))
    if len(texts) == 2 and (different := _first_difference(texts)) is not None:
        message = f"must spell the words of {companions['.wrd'].name}"
        errors.append(f"{companions['.ltr']}:{different + 1}: {message}")
    return texts.get(".wrd", texts.get(".ltr"))


def _tidy(line: str) -> str:
    return " ".join(line.split())


def _spell(line: str) -> str:
    """Join letters to words: ``"O N E | T W O |"`` gives ``"ONE TWO"``."""
    return _tidy("".join(line.split()).replace(WORD_BOUNDARY, " "))


def _first_difference(texts: dict[str, tuple[str, ...]]) -> int | None:
    pairs = zip(texts[".wrd"], texts[".ltr"], strict=True)
    return next(
        (i for i, (words, letters) in enumerate(pairs) if words != letters), None
    )


def _read_labels(
    path: Path, manifest: Path, files: list[AudioFile], errors: list[str]
) -> dict[str, tuple[str, ...]]:
    header, *rows = [line.split("\t") for line in _lines(path, errors)] or [[""]]
    if len(rows) != len(files):
        message = f"must have a header and one line for each of {len(files)} files"
        errors.append(f"{path}: {message} of {manifest.name}, has {len(rows)}")
        return {}
    for number, (row, file) in enumerate(zip(rows, files, strict=True), start=2):
        if len(row) != len(header):
            message = f"must have {len(header)} columns like its header, has {len(row)}"
            errors.append(f"{path}:{number}: {message}")
            return {}
        if header[0] == "path" and not str(file.path).endswith(row[0]):
            message = f"must be about {file.path.name}, as in {manifest.name}"
            errors.append(f"{path}:{number}: {message}, is about {row[0]}")
            return {}
    columns = zip(*rows, strict=True)
    named = dict(zip(header, columns, strict=True))
    return {name: column for name, column in named.items() if name != "path"}
