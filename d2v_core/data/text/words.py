"""Running text in three splits whose words are known, for the word probe.

Two layouts, ``train``, ``valid`` (or ``dev``) and ``test`` in one folder: ``.conll``, a
word and its tag per line with a tab between them and a blank line after each sentence;
or ``.txt``, a sentence per line. And, embedded, the passages of ``pydoc``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2v_core.config.text import EMBEDDED_WORDS
from d2v_core.data.file_errors import FileErrors, decoded_lines
from d2v_core.data.text.pydoc_text import load_pydoc

SPLITS = {"train": ("train",), "valid": ("valid", "dev"), "test": ("test",)}
"""The names that the file of each split may have."""
SUFFIXES = (".conll", ".txt")
"""The first one for which there is a training file."""


@dataclass(frozen=True)
class Sentences:
    """Sentences of one split.

    Attributes:
        words: Words of each sentence.
        tags: Tags of the words, as many; None: they are not known.
    """

    words: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...] | None = None

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class WordCorpus:
    """Three splits of running text.

    Attributes:
        name: For people.
        train: Its words fit a probe.
        valid: Selects.
        test: Is reported.
    """

    name: str
    train: Sentences
    valid: Sentences
    test: Sentences


def word_files(folder: Path) -> list[Path]:
    """List the files of a corpus; those that are missing by their first name."""
    there = (suffix for suffix in SUFFIXES if (folder / f"train{suffix}").is_file())
    suffix = next(there, SUFFIXES[0])
    choices = [[folder / f"{n}{suffix}" for n in names] for names in SPLITS.values()]
    return [next((f for f in files if f.is_file()), files[0]) for files in choices]


def load_words(folder: Path, errors: FileErrors) -> WordCorpus | None:
    """Read a corpus; None where a file is of no use, which ``errors`` then says."""
    splits = [_read(file, errors) for file in word_files(folder)]
    train, valid, test = splits
    if train is None or valid is None or test is None:
        return None
    for kind, asked in (("words", train.words), ("tags", train.tags)):
        different = {one for sentence in asked or () for one in sentence}
        if asked is not None and len(different) < 2:
            message = f"must hold at least 2 different {kind}, holds {len(different)}"
            errors.file(word_files(folder)[0], message)
            return None
    return WordCorpus(folder.name, train, valid, test)


def embedded_words() -> WordCorpus:
    """The passages of ``pydoc``, in the splits of its topics."""
    topics = load_pydoc().tasks["pydoc/topic"]
    parts = [topics.train.first, topics.valid.first, topics.tests[""].first]
    train, valid, test = (Sentences(tuple(map(_words, part))) for part in parts)
    return WordCorpus(EMBEDDED_WORDS, train, valid, test)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _read(file: Path, errors: FileErrors) -> Sentences | None:
    if not file.is_file():
        errors.file(file, "is missing")
        return None
    lines = decoded_lines(file, errors)
    if file.suffix == ".txt":
        sentences = Sentences(tuple(w for _, line in lines if (w := _words(line))))
    else:
        sentences = _tagged(file, lines, errors)
    if not sentences:
        errors.file(file, "must hold sentences, has none that can be used")
        return None
    return sentences


def _tagged(
    file: Path, lines: Iterator[tuple[int, str]], errors: FileErrors
) -> Sentences:
    """Read words and their tags; a line of no use is left out of its sentence."""
    sentences: list[list[tuple[str, str]]] = [[]]
    for number, line in lines:
        word, *rest = (cell.strip() for cell in line.split("\t"))
        if not word and not any(rest):
            sentences.append([])
        elif not word or not rest or not rest[0]:
            message = "must be a word, a tab and its tag, or blank"
            errors.line(file, number, f"{message}, got {line[:100]!r}")
        else:
            sentences[-1].append((word, rest[0]))
    kept = [sentence for sentence in sentences if sentence]
    return Sentences(
        words=tuple(tuple(word for word, _ in sentence) for sentence in kept),
        tags=tuple(tuple(tag for _, tag in sentence) for sentence in kept),
    )


def positions(sentences: Sentences) -> np.ndarray:
    """Every word's sentence and place in it, int64 of shape (words, 2)."""
    lengths = np.array([len(words) for words in sentences.words])
    of_sentence = np.repeat(np.arange(len(lengths)), lengths)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.stack([of_sentence, np.arange(len(of_sentence)) - first], axis=1)
