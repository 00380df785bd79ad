"""Tasks in files: GLUE's own tables, and any with columns ``sentence`` and ``label``.

Layouts are those of the official archive (gluebenchmark.com, ``download_glue_data``).
Test labels of GLUE are secret: ``dev`` is reported, as in the paper's Table 4, and some
of ``train`` selects. WNLI is left out, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from d2v_core.config.text import task_name
from d2v_core.data.file_errors import FileErrors, decoded_lines
from d2v_core.data.inventory import listed
from d2v_core.data.text.tasks import Samples, Score, Task, held_out

MAX_CLASSES = 10_000
SHOWN = 100
"""Characters of a wrong label that an error shows."""
BINARY = ("0", "1")
ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True)
class Layout:
    """The tables of one task.

    Attributes:
        texts: Columns of the text or the two texts; numbers where there is no header.
        label: Column of the label.
        classes: All labels; empty: any number; None: those of the training file.
        score: What is reported.
        tests: File of each reported split, by name.
        valid: File that selects; None: some of ``train`` is held out.
    """

    texts: tuple[str, ...] | tuple[int, ...]
    label: str | int
    classes: tuple[str, ...] | None
    score: Score = "accuracy"
    tests: dict[str, str] = field(default_factory=lambda: {"": "dev"})
    valid: str | None = None


GLUE = {
    "CoLA": Layout((3,), 1, BINARY, "matthews"),
    "SST-2": Layout(("sentence",), "label", BINARY),
    "MRPC": Layout(("#1 String", "#2 String"), "Quality", BINARY, "accuracy_and_f1"),
    "STS-B": Layout(("sentence1", "sentence2"), "score", (), "pearson_and_spearman"),
    "QQP": Layout(
        ("question1", "question2"), "is_duplicate", BINARY, "accuracy_and_f1"
    ),
    "MNLI": Layout(
        ("sentence1", "sentence2"),
        "gold_label",
        ("entailment", "neutral", "contradiction"),
        tests={"matched": "dev_matched", "mismatched": "dev_mismatched"},
    ),
    "QNLI": Layout(("question", "sentence"), "label", ENTAILMENT),
    "RTE": Layout(("sentence1", "sentence2"), "label", ENTAILMENT),
}
"""By folder name. F1 is of the second class."""


def layout_of(folder: Path) -> Layout:
    """Choose GLUE's by the folder's name; else ``dev`` selects beside a ``test``."""
    if folder.name in GLUE:
        return GLUE[folder.name]
    generic = Layout(("sentence",), "label", None)
    if not (folder / "test.tsv").exists():
        return generic
    has_dev = (folder / "dev.tsv").exists()
    return Layout(
        generic.texts,
        generic.label,
        None,
        tests={"": "test"},
        valid="dev" if has_dev else None,
    )


def task_files(folder: Path) -> list[Path]:
    """List the files a task is read from."""
    layout = layout_of(folder)
    names = ["train", *filter(None, [layout.valid]), *layout.tests.values()]
    return [folder / f"{name}.tsv" for name in names]


def load_task(folder: Path, errors: FileErrors) -> Task | None:
    """Read a task; None where a file is of no use, which ``errors`` then says."""
    layout = layout_of(folder)
    classes = layout.classes
    if classes is None:
        classes = _classes(folder / "train.tsv", layout)

    if len(classes) > MAX_CLASSES:
        message = f"must hold at most {MAX_CLASSES:,} different labels"
        errors.file(folder / "train.tsv", f"{message}, holds {len(classes):,}")
        return None
    read = partial(_read, layout=layout, classes=classes, errors=errors)
    train = read(folder / "train.tsv")
    tests = {name: read(folder / f"{file}.tsv") for name, file in layout.tests.items()}
    valid = read(folder / f"{layout.valid}.tsv") if layout.valid else None
    readable = {name: test for name, test in tests.items() if test is not None}
    if train is None or len(readable) < len(tests) or (layout.valid and valid is None):
        return None
    if len(np.unique(train.labels)) < 2:
        only = classes[int(train.labels[0])] if classes else f"{train.labels[0]:g}"
        message = f"must hold at least 2 different labels, holds only {only!r}"
        errors.file(folder / "train.tsv", message)
        return None
    if valid is None:
        rare = [c for i, c in enumerate(classes) if (train.labels == i).sum() < 2]
        if (classes and rare) or len(train) < 2:
            message = "must hold at least 2 samples of each class, to set some aside"
            errors.file(folder / "train.tsv", f"{message}; fewer: {listed(rare)}")
            return None
        train, valid = held_out(train, classes=bool(classes))
    return Task(
        name=task_name(folder.name),
        classes=classes,
        score=layout.score,
        train=train,
        valid=valid,
        tests=readable,
    )


def _read(
    file: Path, layout: Layout, classes: tuple[str, ...], errors: FileErrors
) -> Samples | None:
    """Read one table; quotes have no meaning in it."""
    if not file.is_file():
        errors.file(file, "is missing")
        return None
    lines = decoded_lines(file, errors)
    places = _places(file, lines, layout, errors)
    if places is None:
        return None
    value = _label_reader(classes)
    texts: list[tuple[str, ...]] = []
    labels: list[float] = []
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) <= max(places):
            message = f"must have at least {max(places) + 1} columns, has {len(cells)}"
            errors.line(file, number, message)
            continue
        *words, label = (cells[place].strip() for place in places)
        known = value(label)
        if (*words, label) == (*layout.texts, layout.label):
            errors.line(file, number, "must be a sample, is the header again")
        elif known is None:
            allowed = f"one of {listed(classes)}" if classes else "a number"
            errors.line(file, number, f"label must be {allowed}, got {label[:SHOWN]!r}")
        elif not all(words):
            errors.line(file, number, "must hold a text, it is empty")
        else:
            texts.append(tuple(words))
            labels.append(known)
    if not texts:
        errors.file(file, "must hold samples, has none that can be used")
        return None
    first, *second = zip(*texts, strict=True)
    array = np.array(labels, dtype=np.int64 if classes else np.float64)
    return Samples(first, second[0] if second else None, array)


def _places(
    file: Path, lines: object, layout: Layout, errors: FileErrors
) -> tuple[int, ...] | None:
    """Find the columns of texts and label; takes the header off the lines."""
    wanted = (*layout.texts, layout.label)
    if all(isinstance(column, int) for column in wanted):
        return tuple(int(column) for column in wanted)
    _, line = next(iter(lines), (0, None))  # type: ignore[call-overload]
    if line is None:
        errors.file(file, "must have a header and samples, is empty")
        return None
    header = [cell.strip() for cell in line.split("\t")]
    if missing := [str(column) for column in wanted if column not in header]:
        message = f"must have the columns {', '.join(map(str, wanted))}"
        given = f"missing in line 1: {', '.join(missing)}"
        errors.file(file, f"{message}; {given}")
        return None
    return tuple(header.index(str(column)) for column in wanted)


def _classes(file: Path, layout: Layout) -> tuple[str, ...]:
    """List the labels of a table, sorted; ``_read`` names broken lines."""
    ignored = FileErrors()
    if not file.is_file():
        return ("?",)
    lines = decoded_lines(file, ignored)
    places = _places(file, lines, layout, ignored)
    if places is None:
        return ("?",)
    labels: set[str] = set()
    for _, line in lines:
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) <= max(places):
            continue
        *words, label = (cells[place] for place in places)
        if label and all(words) and (*words, label) != (*layout.texts, layout.label):
            labels.add(label)
    return tuple(sorted(labels)) or ("?",)


def has_second_header(file: Path) -> bool:
    """Whether the header of a table stands in it again."""
    if all(isinstance(text, int) for text in layout_of(file.parent).texts):
        return False
    lines = (line for _, line in decoded_lines(file, FileErrors()))
    header = next(lines, None)
    return header is not None and header in lines


def _label_reader(classes: tuple[str, ...]) -> Callable[[str], float | None]:
    if classes:
        index = {name: i for i, name in enumerate(classes)}
        return index.get

    def number(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            return None
        return value if np.isfinite(value) else None

    return number
