"""A text trial's data: tokenised rows for training, and downstream tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from d2v_core.config.choices import TokenKind
from d2v_core.config.memory import MemoryData
from d2v_core.config.own_data import OwnTexts
from d2v_core.config.text import (
    EMBEDDED_TASKS,
    EMBEDDED_WORDS,
    PydocData,
    TextData,
)
from d2v_core.data.cache import files_digest
from d2v_core.data.file_errors import FileErrors
from d2v_core.data.inventory import (
    Inventory,
    missing_classes,
    suspicious_classes,
)
from d2v_core.data.text.glue import has_second_header, load_task, task_files
from d2v_core.data.text.line_files import LineCorpus, lines_digest, load_lines
from d2v_core.data.text.pydoc_text import load_pydoc, pydoc_digest
from d2v_core.data.text.tasks import Task
from d2v_core.data.text.token_rows import RowStore, store_rows
from d2v_core.data.text.tokenizer import TextTokenizer, trained_tokenizer
from d2v_core.data.text.words import (
    WordCorpus,
    embedded_words,
    load_words,
    word_files,
)
from d2v_core.data.vision.batches import shuffled
from d2v_core.data.vision.folders import data_root
from d2v_core.encoders.token_inputs import TokenRows, pad_rows
from d2v_core.errors import DataError
from d2v_core.training.parallel import ALONE, Workers

NO_TASKS = (
    "--set evaluation.tasks=[] for RankMe alone, or --set "
    f"'evaluation.tasks=[{', '.join(EMBEDDED_TASKS)}]'"
)
NO_WORDS = f"--set evaluation.words=null or {EMBEDDED_WORDS}"


@dataclass(frozen=True)
class TextDataset:
    """Data set of a text trial: rows to train on, and tasks.

    Attributes:
        name: For people.
        tokenizer: Trained on the training text.
        rows: The training text.
        labels: Classes of the first rows; the others have none.
        classes: Their names; empty: no row has one.
        tasks: For the evaluation.
        words: For its word probe.
        notes: What a reader of results needs to know.
        inventory: What was found and what is used of it.
    """

    name: str
    tokenizer: TextTokenizer
    rows: RowStore
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    classes: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    words: WordCorpus | None = None
    notes: tuple[str, ...] = ()
    inventory: Inventory = Inventory("texts", {})


def text_digest(
    data: TextData,
    tasks: tuple[str, ...],
    own: str = "",
    words: str | None = None,
) -> str:
    """Digest the corpus and what is evaluated on: 16 hex digits.

    Args:
        data: Where the corpus comes from.
        tasks: The tasks.
        own: Digest of a corpus that the user's own function gives.
        words: The text whose words are probed.

    Raises:
        DataError: Files are missing; all of them at once.
    """
    parts = [own or _corpus_digest(data)]
    missing: list[str] = []
    for task in tasks:
        if task in EMBEDDED_TASKS:
            parts.append(f"{task} {pydoc_digest()}")
            continue
        folder = _below_root(data, task, "evaluation.tasks", NO_TASKS)
        files = task_files(folder)
        absent = [str(file) for file in files if not file.is_file()]
        missing += absent
        if not absent:
            parts.append(f"{task} {files_digest(folder, files, has_second_header)}")
    if words == EMBEDDED_WORDS:
        parts.append(f"{words} {pydoc_digest()}")
    elif words is not None:
        folder = _below_root(data, words, "evaluation.words", NO_WORDS)
        files = word_files(folder)
        if absent := [str(file) for file in files if not file.is_file()]:
            raise DataError(
                "evaluation.words: must have three splits below the data root (no word "
                f"probe: {NO_WORDS}), missing:\n  " + "\n  ".join(absent)
            )
        parts.append(f"words {files_digest(folder, files)}")
    if missing:
        raise DataError(
            "evaluation.tasks: every task needs its files below the data root (no task "
            "at all: --set evaluation.tasks=[]), missing:\n  " + "\n  ".join(missing)
        )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _corpus_digest(data: TextData) -> str:
    if isinstance(data, MemoryData):
        return data.digest
    assert not isinstance(data, OwnTexts), "the modality asks the user's own function"
    return pydoc_digest() if isinstance(data, PydocData) else lines_digest(data)


def load_text(
    data: TextData,
    tasks: tuple[str, ...],
    *,
    vocab_size: int,
    max_tokens: int,
    kind: TokenKind = "bpe",
    words: str | None = None,
    own: LineCorpus | None = None,
) -> TextDataset:
    """Read the corpus, tokenised, and what is evaluated on.

    Args:
        data: Where the text comes from.
        tasks: The tasks.
        words: The text whose words are probed.
        vocab_size: Most tokens.
        max_tokens: Most tokens of a row.
        kind: What a token is.
        own: The corpus that the user's own function gives.

    Raises:
        DataError: Files are missing, or lines of them cannot be used: all of them.
    """
    if isinstance(data, MemoryData):
        raise data.gone()
    errors = FileErrors()
    loaded = [_load_task(data, task, errors) for task in tasks]
    usable = tuple(task for task in loaded if task is not None)
    notes = tuple(note for task in usable for note in task.notes())
    probed = _load_words(data, words, errors)
    if not isinstance(data, PydocData):
        num_left_out = errors.num_lines
        if own is not None:
            corpus = own
        else:
            assert not isinstance(data, OwnTexts)
            corpus = load_lines(
                data, errors, vocab_size=vocab_size, max_tokens=max_tokens, kind=kind
            )
        return TextDataset(
            name=corpus.name,
            tokenizer=corpus.tokenizer,
            rows=corpus.rows,
            tasks=usable,
            words=probed,
            notes=(*_few(corpus.tokenizer, vocab_size), *corpus.notes, *notes),
            inventory=_inventory(
                corpus.num_lines,
                num_left_out + corpus.num_left_out,
                usable,
                probed,
                {f"files {why}": count for why, count in corpus.left_out.items()},
            ),
        )
    text = load_pydoc()
    tokenizer = trained_tokenizer(
        lambda: text.passages,
        digest=f"pydoc-{pydoc_digest()}",
        vocab_size=vocab_size,
        kind=kind,
    )
    return TextDataset(
        name="Python language reference (pydoc_data)",
        tokenizer=tokenizer,
        rows=store_rows(tokenizer.rows(text.passages, max_tokens)),
        labels=text.labels,
        classes=text.classes,
        tasks=usable,
        words=probed,
        notes=(*_few(tokenizer, vocab_size), *notes),
        inventory=_inventory(len(text.passages), 0, usable, probed),
    )


def _inventory(
    num_lines: int,
    num_left_out: int,
    tasks: tuple[Task, ...],
    words: WordCorpus | None,
    files: Mapping[str, int] | None = None,
) -> Inventory:
    used, suspicious = {"corpus": num_lines}, list[str]()
    for task in tasks:
        splits = {"train": task.train, "valid": task.valid}
        splits |= {name or "test": test for name, test in task.tests.items()}
        used |= {f"{task.name} {name}": len(split) for name, split in splits.items()}
        labels = {name: split.labels.tolist() for name, split in splits.items()}
        sentences = suspicious_classes(task.classes)
        sentences += missing_classes(task.classes, labels)
        suspicious += [f"{task.name}: {sentence}" for sentence in sentences]
    if words is not None:
        parts = {"train": words.train, "valid": words.valid, "test": words.test}
        used |= {f"words {name}": len(part) for name, part in parts.items()}
    return Inventory(
        unit="texts",
        used=used,
        left_out={
            **({"unreadable lines": num_left_out} if num_left_out else {}),
            **(files or {}),
        },
        suspicious=tuple(suspicious),
    )


def _few(tokenizer: TextTokenizer, vocab_size: int) -> tuple[str, ...]:
    if tokenizer.num_tokens == vocab_size:
        return ()
    note = f"the training text gives {tokenizer.num_tokens:,} tokens, fewer than"
    return (f"{note} text.vocab_size {vocab_size:,}",)


def _load_task(data: TextData, task: str, errors: FileErrors) -> Task | None:
    if task in EMBEDDED_TASKS:
        return load_pydoc().tasks[task]
    folder = _below_root(data, task, "evaluation.tasks", NO_TASKS)
    return load_task(folder, errors)


def _load_words(
    data: TextData, words: str | None, errors: FileErrors
) -> WordCorpus | None:
    if words is None:
        return None
    if words == EMBEDDED_WORDS:
        return embedded_words()
    folder = _below_root(data, words, "evaluation.words", NO_WORDS)
    return load_words(folder, errors)


def _below_root(data: TextData, folder: str, setting: str, otherwise: str) -> Path:
    assert not isinstance(data, PydocData | MemoryData), "refused by the configuration"
    if Path(folder).is_absolute():
        return Path(folder)
    corpus = "" if isinstance(data, OwnTexts) else data.folder
    if data.root is None and Path(corpus).is_absolute():
        raise DataError(
            f"{setting}: {folder} lies below a data root and none was given; pass "
            f"--data-root FOLDER or set D2V_DATA, or {otherwise}"
        )
    return data_root(data.root) / folder


@dataclass(frozen=True)
class TextBatches:
    """Shuffled passes over the rows, one after the other, without gaps.

    Attributes:
        dataset: Its rows are read.
        batch_size: Rows per update.
        seed: Seed of the order.
        labelled: Read only rows with a class, and give their classes.
        workers: Those that have the other rows of a batch.
    """

    dataset: TextDataset
    batch_size: int
    seed: int
    labelled: bool = False
    workers: Workers = ALONE

    def __call__(self, step: int) -> tuple[TokenRows, Tensor]:
        """Read rows and classes (zeros, unless ``labelled``) of an update (from 1)."""
        indices = self.indices(step)
        labels = np.zeros(len(indices), dtype=np.int64)
        if self.labelled:
            labels = self.dataset.labels[indices]
        mine = self.workers.rows(len(indices))
        rows = pad_rows(self.dataset.rows.read(indices)).part(mine)
        return rows, torch.from_numpy(labels[mine])

    def indices(self, step: int) -> np.ndarray:
        """Choose the rows of an update (from 1)."""
        size = len(self.dataset.labels if self.labelled else self.dataset.rows)
        first = (step - 1) * self.batch_size
        wanted = range(first, first + self.batch_size)
        return np.array(
            [shuffled(self.seed, i // size, size)[i % size] for i in wanted]
        )
