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
from d2v_core.data.text.tasks import Samples, Score, Task, held_out

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
    """GLUE's by the folder's name; else ``dev`` selects if there is also a ``test``."""
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
    """The files a task is read from."""
    layout = layout_of(folder)
    names = ["train", *filter(None, [layout.valid]), *layout.tests.values()]
    return [folder / f"{name}.tsv" for name in names]


def load_task(folder: Path, faults: FileErrors) -> Task | None:
    """Read a task; None where a file is of no use, which ``faults`` then says."""
    layout = layout_of(folder)
    classes = layout.classes
    if classes is None:
        classes = _classes(folder / "train.tsv", layout)

    read = partial(_read, layout=layout, classes=classes, faults=faults)
    train = read(folder / "train.tsv")
    tests = {name: read(folder / f"{file}.tsv") for name, file in layout.tests.items()}
    valid = read(folder / f"{layout.valid}.tsv") if layout.valid else None
    found = {name: test for name, test in tests.items() if test is not None}
    if train is None or len(found) < len(tests) or (layout.valid and valid is None):
        return None
    if valid is None:
        rare = [c for i, c in enumerate(classes) if (train.labels == i).sum() < 2]
        if (classes and rare) or len(train) < 2:
            rule = "must hold at least 2 samples of each class, to set some aside"
            faults.file(folder / "train.tsv", f"{rule}; fewer: {', '.join(rare)}")
            return None
        train, valid = held_out(train, classes=bool(classes))
    return Task(
        name=task_name(folder.name),
        classes=classes,
        score=layout.score,
        train=train,
        valid=valid,
        tests=found,
    )


def _read(
    file: Path, layout: Layout, classes: tuple[str, ...], faults: FileErrors
) -> Samples | None:
    """One table; quotes have no meaning in it."""
    if not file.is_file():
        faults.file(file, "is missing")
        return None
    lines = decoded_lines(file, faults)
    places = _places(file, lines, layout, faults)
    if places is None:
        return None
    value = _label_reader(classes)
    texts: list[tuple[str, ...]] = []
    labels: list[float] = []
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) <= max(places):
            rule = f"must have at least {max(places) + 1} columns, has {len(cells)}"
            faults.line(file, number, rule)
            continue
        *found, label = (cells[place].strip() for place in places)
        known = value(label)
        if known is None:
            rule = f"one of {', '.join(classes)}" if classes else "a number"
            faults.line(file, number, f"label must be {rule}, got {label!r}")
        elif not all(found):
            faults.line(file, number, "must hold a text, it is empty")
        else:
            texts.append(tuple(found))
            labels.append(known)
    if not texts:
        faults.file(file, "must hold samples, has none that can be used")
        return None
    first, *second = zip(*texts, strict=True)
    array = np.array(labels, dtype=np.int64 if classes else np.float64)
    return Samples(first, second[0] if second else None, array)


def _places(
    file: Path, lines: object, layout: Layout, faults: FileErrors
) -> tuple[int, ...] | None:
    """Columns of the texts and of the label; takes the header off the lines."""
    wanted = (*layout.texts, layout.label)
    if all(isinstance(column, int) for column in wanted):
        return tuple(int(column) for column in wanted)
    _, line = next(iter(lines), (0, None))  # type: ignore[call-overload]
    if line is None:
        faults.file(file, "must have a header and samples, is empty")
        return None
    header = [cell.strip() for cell in line.split("\t")]
    if missing := [str(column) for column in wanted if column not in header]:
        rule = f"must have the columns {', '.join(map(str, wanted))}"
        given = f"missing in line 1: {', '.join(missing)}"
        faults.file(file, f"{rule}; {given}")
        return None
    return tuple(header.index(str(column)) for column in wanted)


def _classes(file: Path, layout: Layout) -> tuple[str, ...]:
    """The labels of a table, sorted; broken lines are another's to name."""
    ignored = FileErrors()
    if not file.is_file():
        return ("?",)
    lines = decoded_lines(file, ignored)
    places = _places(file, lines, layout, ignored)
    if places is None:
        return ("?",)
    rows = [line.split("\t") for _, line in lines]
    label = places[-1]
    found = {row[label].strip() for row in rows if len(row) > label}
    return tuple(sorted(found - {""})) or ("?",)


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
