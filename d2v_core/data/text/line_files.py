"""Corpora of lines, of any size: ``train.txt``, or all text files of a folder.

The text is read as a stream, tokenised once and kept in the cache as one memory-mapped
array, so that a corpus may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from d2v_core.config.choices import TokenKind
from d2v_core.config.text import CorpusData, TextFolderData
from d2v_core.data.cache import CacheEntry, content_key, files_digest
from d2v_core.data.file_errors import FileErrors, decoded_lines
from d2v_core.data.inventory import too_few
from d2v_core.data.text.token_rows import RowStore
from d2v_core.data.text.tokenizer import VERSION, TextTokenizer, trained_tokenizer
from d2v_core.data.vision.folders import source_folder
from d2v_core.data.walk import files_below
from d2v_core.encoders.token_inputs import BOS, EOS
from d2v_core.errors import DataError

CHUNK = 8_192
"""Lines tokenised at a time."""
CHUNK_CHARACTERS = 2**24
SUFFIX = ".txt"


@dataclass(frozen=True)
class LineCorpus:
    """A tokenised corpus.

    Attributes:
        name: For people.
        tokenizer: Trained on it.
        rows: What a batch is made of.
        notes: How many lines were left out.
        num_lines: Lines with text.
        num_left_out: Lines that cannot be read.
        left_out: How many other files lie beside, by reason.
    """

    name: str
    tokenizer: TextTokenizer
    rows: RowStore
    notes: tuple[str, ...]
    num_lines: int
    num_left_out: int
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusFiles:
    """The files of a corpus.

    Attributes:
        root: Their folder.
        files: Each ends a document, sorted.
        left_out: How many other files lie there, by reason.
    """

    root: Path
    files: tuple[Path, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def digest(self) -> str:
        """Digest the files."""
        return files_digest(self.root, self.files)


def corpus_files(data: CorpusData) -> CorpusFiles:
    """Locate ``train.txt``, or every ``.txt`` file below a folder.

    Raises:
        DataError: There is none.
    """
    folder = source_folder(data.root, data.folder)
    if isinstance(data, TextFolderData):
        files, left_out = files_below(folder, (SUFFIX,))
        if not files:
            why = "".join(f"; {count:,} {text}" for text, count in left_out.items())
            message = f"must hold at least one file *{SUFFIX}, holds none"
            raise DataError(f"{folder}: {message}{why}")
        return CorpusFiles(folder, tuple(files), left_out)
    file = folder / "train.txt"
    if not file.is_file():
        raise DataError(
            f"data.folder: {folder} must hold train.txt, a sentence per line; set "
            f"data.folder to a folder that does, or to one of *{SUFFIX} files"
        )
    return CorpusFiles(folder, (file,))


def lines_digest(data: CorpusData) -> str:
    """Digest the training text."""
    return corpus_files(data).digest()


def load_lines(
    data: CorpusData,
    errors: FileErrors,
    *,
    vocab_size: int,
    max_tokens: int,
    kind: TokenKind = "bpe",
) -> LineCorpus:
    """Train or open the tokenizer, tokenise the text or open what was.

    Args:
        data: Where the corpus is.
        errors: Those of other files; the corpus' own are added, then all are raised.
        vocab_size: Most tokens of the tokenizer.
        max_tokens: Longest row.
        kind: What a token is.

    Raises:
        DataError: Files are missing or all empty, or lines are not UTF-8.
    """
    corpus = corpus_files(data)
    own = FileErrors()
    content = content_key(corpus.root, corpus.files, corpus.digest())
    tokens = vocab_size if kind == "bpe" else kind
    key = f"{content}-{tokens}-{max_tokens}-{data.rows}-{data.on_error}-v{VERSION}"
    entry = CacheEntry("text/rows", key)
    known = entry.read()
    if known is None:
        # All of it is looked at before any work is done on it.
        num_lines = sum(map(bool, _texts(corpus.files, own)))
        if not num_lines:
            where = corpus.files[0] if len(corpus.files) == 1 else corpus.root
            own.file(where, "must hold lines of text, holds none")
        errors.join(own)
        notes = errors.notes(data.on_error)
    else:
        notes = (*errors.notes(data.on_error), *known["notes"])
    tokenizer = trained_tokenizer(
        lambda: _texts(corpus.files), digest=content, vocab_size=vocab_size, kind=kind
    )
    if known is None:
        rows = _rows(
            _texts(corpus.files), tokenizer, max_tokens, joined=data.rows == "blocks"
        )
        known = {
            "notes": list(own.notes(data.on_error)),
            "num_lines": num_lines,
            "num_left_out": own.num_lines,
        }
        _write(entry, rows, tokenizer.num_tokens, known)
    name = f"lines {data.folder or corpus.root.name}"
    if isinstance(data, TextFolderData):
        count = len(corpus.files)
        notes = (*notes, *too_few(known["num_lines"], "lines of text"))
        name = f"{count:,} text file{'s' * (count > 1)} in {corpus.root.name}"
    return LineCorpus(
        name=name,
        tokenizer=tokenizer,
        rows=_open(entry, known["dtype"]),
        notes=notes,
        num_lines=known["num_lines"],
        num_left_out=known["num_left_out"],
        left_out=corpus.left_out,
    )


def _texts(files: Sequence[Path], errors: FileErrors | None = None) -> Iterator[str]:
    """Read stripped lines, a blank one between two files: each is a document."""
    noted = errors or FileErrors()
    for number, file in enumerate(files):
        if number:
            yield ""
        yield from (text.strip() for _, text in decoded_lines(file, noted))


def _rows(
    texts: Iterator[str], tokenizer: TextTokenizer, max_tokens: int, *, joined: bool
) -> Iterator[list[int]]:
    """Make rows of a stream of lines; blank lines end a document."""
    block = [BOS]
    for chunk in _chunks(texts):
        for ids in tokenizer.bare(chunk):
            if not joined:
                if ids:
                    yield [BOS, *ids[: max_tokens - 2], EOS]
                continue
            starts = range(0, len(ids), max_tokens - 2)
            pieces = [ids[i : i + max_tokens - 2] for i in starts]
            for piece in pieces or [[]]:
                full = len(block) + len(piece) + 1 > max_tokens
                if len(block) > 1 and (full or not piece):
                    yield block
                    block = [BOS]
                if piece:
                    block += [*piece, EOS]
    if len(block) > 1:
        yield block


def _chunks(texts: Iterator[str]) -> Iterator[list[str]]:
    """Gather lines to tokenise at a time: neither too many nor too long together."""
    chunk, size = list[str](), 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if len(chunk) == CHUNK or size > CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _write(
    entry: CacheEntry,
    rows: Iterable[list[int]],
    num_tokens: int,
    about: dict[str, Any],
) -> None:
    """Write rows as they come, then where they start; fill in their type."""
    dtype, lengths = np.dtype("<u2" if num_tokens <= 2**16 else "<u4"), [0]

    def write_ids(file: IO[bytes]) -> None:
        for row in rows:
            file.write(np.array(row, dtype=dtype).tobytes())
            lengths.append(len(row))

    def write_starts(file: IO[bytes]) -> None:
        np.save(file, np.cumsum(np.array(lengths, dtype=np.int64)))

    about["dtype"] = dtype.str
    entry.write(about, {"ids": write_ids, "starts.npy": write_starts})


def _open(entry: CacheEntry, dtype: str) -> RowStore:
    return RowStore(
        ids=np.memmap(entry.file("ids"), dtype=dtype, mode="r"),
        starts=np.load(entry.file("starts.npy")),
    )
