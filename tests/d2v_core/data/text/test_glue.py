import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from d2v_core.data import file_errors
from d2v_core.data.file_errors import FileErrors
from d2v_core.data.text import glue
from d2v_core.data.text.glue import load_task
from d2v_core.data.text.tasks import Samples, held_out
from d2v_core.errors import DataError
from tests.d2v_core.data.text.files import write_generic, write_table

ROOT = os.environ.get("D2V_DATA")
ROWS = {
    "CoLA": (None, "gj04|{label}||Text {i}.", ("0", "1")),
    "SST-2": ("sentence|label", "text {i}|{label}", ("0", "1")),
    "MRPC": (
        "Quality|#1 ID|#2 ID|#1 String|#2 String",
        '{label}|7|8|a "quoted {i}|b {i}',
        ("0", "1"),
    ),
    "STS-B": (
        "index|genre|filename|year|old_index|source1|source2|sentence1|sentence2|score",
        "{i}|g|f|y|o|s|t|a {i}|b {i}|{label}",
        ("0.5", "4.25"),
    ),
    "QQP": (
        "id|qid1|qid2|question1|question2|is_duplicate",
        "{i}|1|2|a {i}|b {i}|{label}",
        ("0", "1"),
    ),
    "MNLI": (
        "index|sentence1|sentence2|label1|gold_label",
        "{i}|a {i}|b {i}|neutral|{label}",
        ("entailment", "neutral", "contradiction"),
    ),
    "QNLI": (
        "index|question|sentence|label",
        "{i}|a {i}|b {i}|{label}",
        ("entailment", "not_entailment"),
    ),
    "RTE": (
        "index|sentence1|sentence2|label",
        "{i}|a {i}|b {i}|{label}",
        ("entailment", "not_entailment"),
    ),
}


def write_glue(folder, name, count=12):
    header, row, labels = ROWS[name]
    dev = ("dev_matched", "dev_mismatched") if name == "MNLI" else ("dev",)
    for part, split in enumerate(("train", *dev)):
        rows = [
            row.format(i=100 * part + i, label=labels[i % len(labels)])
            for i in range(count)
        ]
        write_table(folder / f"{split}.tsv", *([header] if header else []), *rows)
    return folder


def loaded(folder):
    errors = FileErrors()
    task = load_task(folder, errors)
    errors.notes("raise")
    return task


@pytest.mark.parametrize("name", ROWS)
def test_glue_tasks_are_read_by_their_official_columns(tmp_path, name):
    task = loaded(write_glue(tmp_path / name, name))
    labels = ROWS[name][2]
    assert task.name == name.lower().replace("-", "_")
    assert len(task.train) + len(task.valid) == 12
    assert len(task.valid) >= 1
    expected = ("matched", "mismatched") if name == "MNLI" else ("",)
    assert tuple(task.tests) == expected
    for part, test in enumerate(task.tests.values(), start=1):
        assert len(test) == 12
        assert test.first[3].rstrip(".").endswith(f"{100 * part + 3}")
        single = name in ("CoLA", "SST-2")
        assert (
            test.second is None if single else test.second[3] == f"b {100 * part + 3}"
        )
        wanted = [labels[i % len(labels)] for i in range(12)]
        if name == "STS-B":
            assert test.labels.tolist() == [float(label) for label in wanted]
        else:
            assert [task.classes[label] for label in test.labels] == wanted
    assert task.notes() == ()


def test_dev_selects_where_there_is_a_test_and_else_is_reported(tmp_path):
    both = loaded(write_generic(tmp_path / "both", splits=("train", "dev", "test")))
    assert both.valid.first[0] == "dev text 0"
    assert both.tests[""].first[0] == "test text 0"
    assert len(both.train) == 8
    only_dev = loaded(write_generic(tmp_path / "one"))
    assert only_dev.tests[""].first[0] == "dev text 0"
    assert len(only_dev.train) + len(only_dev.valid) == 8
    assert all(text.startswith("train") for text in only_dev.valid.first)
    only_test = loaded(write_generic(tmp_path / "two", splits=("train", "test")))
    assert only_test.tests[""].first[0] == "test text 0"
    assert only_test.classes == ("no", "yes")


def test_every_mistake_is_named_with_file_and_line(tmp_path):
    folder = write_generic(tmp_path / "cls", splits=("train", "dev", "test"))
    with (folder / "dev.tsv").open("ab") as file:
        file.write(b"a \xff b\tyes\nonly a text\nfine\tmaybe\n\tno\n")
    write_table(folder / "test.tsv", "text|label", "a|yes")
    errors = FileErrors()
    assert load_task(folder, errors) is None
    with pytest.raises(DataError) as caught:
        errors.notes("raise")
    assert str(caught.value).splitlines() == [
        "data: every line of the corpus and of the tasks must be readable; correct "
        "these, or set data.on_error to skip:",
        f"  {folder}/test.tsv: must have the columns sentence, label; missing in line "
        "1: sentence",
        f"  {folder}/dev.tsv:10: must be UTF-8, byte 2 is not",
        f"  {folder}/dev.tsv:11: must have at least 2 columns, has 1",
        f"  {folder}/dev.tsv:12: label must be one of no, yes, got 'maybe'",
        f"  {folder}/dev.tsv:13: must hold a text, it is empty",
    ]


def test_broken_lines_can_be_left_out_and_are_counted(tmp_path):
    folder = write_generic(tmp_path / "cls", splits=("train", "dev", "test"))
    with (folder / "dev.tsv").open("ab") as file:
        file.write(b"a \xff b\tyes\nfine\tmaybe\n")
    errors = FileErrors()
    task = load_task(folder, errors)
    assert len(task.valid) == 8
    note = f"{folder}/dev.tsv: 2 unreadable lines left out"
    assert errors.notes("skip") == (note,)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is missing"),
        ("", "must have a header and samples, is empty"),
        ("sentence\tlabel\n", "must hold samples, has none that can be used"),
    ],
)
def test_a_file_of_no_use_is_refused_even_when_lines_may_be_skipped(
    tmp_path, content, says
):
    folder = write_generic(tmp_path / "cls", splits=("train", "dev", "test"))
    file = folder / "dev.tsv"
    file.unlink()
    if content is None:
        folder = write_generic(tmp_path / "SST-2", splits=("train",))
        file = folder / "dev.tsv"
    else:
        file.write_text(content)
    errors = FileErrors()
    assert load_task(folder, errors) is None
    with pytest.raises(DataError, match=f"{file}: {says}"):
        errors.notes("skip")


def test_only_the_first_of_many_mistakes_are_shown(tmp_path):
    folder = write_generic(tmp_path / "cls", splits=("train", "dev", "test"))
    write_table(folder / "dev.tsv", "sentence|label", "a|yes", *["b|maybe"] * 50)
    errors = FileErrors()
    load_task(folder, errors)
    with pytest.raises(DataError) as caught:
        errors.notes("raise")
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  and 40 more lines"


def test_numbers_that_are_none_are_refused(tmp_path):
    folder = write_glue(tmp_path / "STS-B", "STS-B")
    with (folder / "dev.tsv").open("a") as file:
        file.write("\t".join("igfyostab") + "\tnan\n")
    with pytest.raises(DataError, match=r"dev.tsv:14: label must be a number, got 'na"):
        loaded(folder)


def test_a_class_too_rare_to_set_aside_is_refused(tmp_path):
    folder = write_generic(tmp_path / "cls")
    write_table(folder / "train.tsv", "sentence|label", "a|yes", "b|yes", "c|no")
    with pytest.raises(DataError, match="at least 2 samples of each class.*fewer: no"):
        loaded(folder)


def test_samples_held_out_are_few_always_the_same_and_keep_the_shares():
    labels = np.arange(30_000) % 3
    samples = Samples(tuple(map(str, range(30_000))), None, labels)
    train, valid = held_out(samples, classes=True)
    again, _ = held_out(samples, classes=True)
    assert train.first == again.first
    assert len(valid) == pytest.approx(1000, abs=3)
    assert sorted(train.first + valid.first) == sorted(samples.first)
    assert np.bincount(valid.labels).tolist() == [333] * 3
    numbers = Samples(samples.first[:50], None, labels[:50].astype(float))
    assert [len(part) for part in held_out(numbers, classes=False)] == [45, 5]


def test_texts_that_stand_in_both_splits_are_counted(tmp_path):
    folder = write_generic(tmp_path / "cls", splits=("train", "test"))
    with (folder / "test.tsv").open("a") as file:
        file.write("train text 3\tno\ntrain text 4\tyes\n")
    assert loaded(folder).notes() == (
        "cls: 2 of 10 reported samples also stand in the training split",
    )


@pytest.mark.data
@pytest.mark.skipif(
    not ROOT or not (Path(ROOT) / "text" / "glue").is_dir(),
    reason="D2V_DATA must name a folder with text (shared/data/text.tar.xz)",
)
@pytest.mark.parametrize(
    ("name", "counts", "notes"),
    [
        ("glue/SST-2", (66_349, 1_000, 872), 0),
        ("glue/CoLA", (7_696, 855, 1_043), 18),
        ("cls/subj", (7_998, 1_000, 1_000), 0),
        ("cls/trec-coarse", (4_820, 545, 500), None),
    ],
)
def test_real_tasks_are_whole(name, counts, notes):
    task = loaded(Path(ROOT) / "text" / name)
    assert (len(task.train), len(task.valid), len(task.tests[""])) == counts
    assert not any('"\t' in text for text in task.train.first)
    if notes is not None:
        assert [note.split(" of ")[0] for note in task.notes()] == (
            [f"{task.name}: {notes}"] if notes else []
        )
    shares = Counter(task.train.labels.tolist())
    assert set(shares) == set(range(len(task.classes)))


def refused(folder):
    errors = FileErrors()
    load_task(folder, errors)
    with pytest.raises(DataError) as caught:
        errors.notes("raise")
    return str(caught.value)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_second_header_is_no_class(tmp_path, mark):
    folder = write_generic(tmp_path / "cls")
    file = folder / "train.tsv"
    whole = file.read_text()
    file.write_text(whole + mark + whole.replace("text", "word"))
    assert f"{file}:10: must be a sample, is the header again" in refused(folder)
    errors = FileErrors()
    task = load_task(folder, errors)
    assert task.classes == ("no", "yes")
    assert len(task.train) + len(task.valid) == 16
    assert errors.notes("skip") == (f"{file}: 1 unreadable lines left out",)


@pytest.mark.parametrize("name", ["own", "SST-2"])
def test_one_class_is_nothing_to_tell_apart(tmp_path, name):
    folder = tmp_path / name
    for split in ("train", "dev"):
        rows = [f"text {i}|1" for i in range(6)]
        write_table(folder / f"{split}.tsv", "sentence|label", *rows)
    rule = "must hold at least 2 different labels, holds only '1'"
    assert f"{folder}/train.tsv: {rule}" in refused(folder)


def test_numbers_that_are_all_the_same_cannot_be_predicted(tmp_path):
    folder = write_glue(tmp_path / "STS-B", "STS-B")
    file = folder / "train.tsv"
    file.write_text(file.read_text().replace("4.25", "0.5"))
    assert "2 different labels, holds only '0.5'" in refused(folder)


def test_a_table_of_too_many_classes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(glue, "MAX_CLASSES", 5)
    rows = [f"text {i}|label {i}" for i in range(6)]
    for split in ("train", "dev"):
        write_table(tmp_path / "cls" / f"{split}.tsv", "sentence|label", *rows)
    assert "at most 5 different labels, holds 6" in refused(tmp_path / "cls")


def test_lines_too_long_to_be_text_are_named_and_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(file_errors, "MAX_LINE_BYTES", 50)
    file = tmp_path / "a.txt"
    file.write_bytes(b"one\n" + b"x" * 500 + b"\n" + b"y" * 49 + b"\nlast")
    errors = FileErrors()
    lines = list(file_errors.decoded_lines(file, errors))
    assert lines == [(1, "one"), (3, "y" * 49), (4, "last")]
    with pytest.raises(DataError, match="a.txt:2: must have at most 50 bytes"):
        errors.notes("raise")
