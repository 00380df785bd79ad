"""fairseq manifests of audio files with transcripts and labels beside them.

``examples/wav2vec/wav2vec_manifest.py`` writes ``<split>.tsv``, ``libri_labels.py``
``<split>.wrd`` and ``<split>.ltr``; ``<split>.labels.tsv`` is this project's own.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from d2v_core.data.speech.utterances import WORD_BOUNDARY, AudioFile, Listing

MAX_LINE = 65_536
"""Characters of a line."""
MAX_DIGITS = 12
"""Of a number of samples."""
SHOWN = 200
"""Characters of a wrong line that an error shows."""


def read_manifest(folder: Path, split: str) -> Listing:
    """Everything known of a split; what is wrong with its files is in ``faults``.

    Args:
        folder: Where the manifests are.
        split: Path of the manifest below it, without ``.tsv``.
    """
    manifest = folder / f"{split}.tsv"
    faults: list[str] = []
    files = _read_files(manifest, faults)
    found = {
        suffix: path
        for suffix in (".wrd", ".ltr", ".labels.tsv")
        if (path := folder / f"{split}{suffix}").is_file()
    }
    words = _read_words(found, len(files), faults)
    labels: dict[str, tuple[str, ...]] = {}
    if ".labels.tsv" in found and files:
        labels = _read_labels(found[".labels.tsv"], manifest, files, faults)
    return Listing(
        name=split,
        files=tuple(files),
        texts=words,
        labels=labels,
        sources=(manifest, *found.values()) if manifest.is_file() else (),
        faults=tuple(faults),
    )


def _lines(path: Path, faults: list[str]) -> list[str]:
    """Lines of a text without byte order marks: files put together may hold several."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        faults.append(f"{path}: must be UTF-8, byte {error.start} is not")
        return []
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror}")
        return []
    lines = [line.removeprefix("\ufeff") for line in text.split("\n")]
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE or "\0" in line:
            rule = f"must be text of at most {MAX_LINE:,} characters"
            faults.append(f"{path}:{number}: {rule}")
            return []
    return lines if lines[-1] else lines[:-1]


def has_mark(path: Path) -> bool:
    """Whether a manifest or its transcripts begin with a byte order mark."""
    if path.suffix not in (".tsv", ".wrd", ".ltr"):
        return False
    with path.open("rb") as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _read_files(manifest: Path, faults: list[str]) -> list[AudioFile]:
    if not manifest.is_file():
        faults.append(f"{manifest}: there is no such manifest")
        return []
    first, *rows = _lines(manifest, faults) or [""]
    if "\t" in first:
        faults.append(f"{manifest}:1: must be the folder of the audio, got {first!r}")
        return []
    files = []
    for number, row in enumerate(rows, start=2):
        path, _, count = row.partition("\t")
        if not path or not count.isdecimal() or len(count) > MAX_DIGITS:
            rule = "must be path<TAB>num_samples"
            faults.append(f"{manifest}:{number}: {rule}, got {row[:SHOWN]!r}")
            continue
        files.append(AudioFile(manifest.parent / first / path, int(count)))
    if not rows:
        faults.append(f"{manifest}: must list at least one file, lists none")
    return files


def _read_words(
    found: dict[str, Path], num_files: int, faults: list[str]
) -> tuple[str, ...] | None:
    texts: dict[str, tuple[str, ...]] = {}
    for suffix, path in found.items():
        if suffix == ".labels.tsv":
            continue
        lines = _lines(path, faults)
        if num_files and len(lines) != num_files:
            rule = f"must have one line for each of {num_files} files of the manifest"
            faults.append(f"{path}: {rule}, has {len(lines)}")
            continue
        texts[suffix] = tuple(map(_spell if suffix == ".ltr" else _tidy, lines))
    if len(texts) == 2 and (different := _first_difference(texts)) is not None:
        rule = f"must spell the words of {found['.wrd'].name}"
        faults.append(f"{found['.ltr']}:{different + 1}: {rule}")
    return texts.get(".wrd", texts.get(".ltr"))


def _tidy(line: str) -> str:
    return " ".join(line.split())


def _spell(line: str) -> str:
    """``"O N E | T W O |"`` is ``"ONE TWO"``."""
    return _tidy("".join(line.split()).replace(WORD_BOUNDARY, " "))


def _first_difference(texts: dict[str, tuple[str, ...]]) -> int | None:
    pairs = zip(texts[".wrd"], texts[".ltr"], strict=True)
    return next(
        (i for i, (words, letters) in enumerate(pairs) if words != letters), None
    )


def _read_labels(
    path: Path, manifest: Path, files: list[AudioFile], faults: list[str]
) -> dict[str, tuple[str, ...]]:
    header, *rows = [line.split("\t") for line in _lines(path, faults)] or [[""]]
    if len(rows) != len(files):
        rule = f"must have a header and one line for each of {len(files)} files"
        faults.append(f"{path}: {rule} of {manifest.name}, has {len(rows)}")
        return {}
    for number, (row, file) in enumerate(zip(rows, files, strict=True), start=2):
        if len(row) != len(header):
            rule = f"must have {len(header)} columns like its header, has {len(row)}"
            faults.append(f"{path}:{number}: {rule}")
            return {}
        if header[0] == "path" and not str(file.path).endswith(row[0]):
            rule = f"must be about {file.path.name}, as in {manifest.name}"
            faults.append(f"{path}:{number}: {rule}, is about {row[0]}")
            return {}
    columns = zip(*rows, strict=True)
    named = dict(zip(header, columns, strict=True))
    return {name: column for name, column in named.items() if name != "path"}
