import os
from pathlib import Path

import numpy as np
import pytest

from d2v_core.config.parsing import parse_section
from d2v_core.config.text import TextEvaluation
from d2v_core.data.file_errors import FileErrors
from d2v_core.data.text.words import (
    Sentences,
    embedded_words,
    load_words,
    positions,
    word_files,
)
from d2v_core.errors import ConfigError, DataError
from d2v_core.modalities.text import MODALITY as TEXT
from tests.d2v_core.data.text.files import write_table
from tests.d2v_core.small_text import small_text_trial

ROOT = os.environ.get("D2V_DATA")
TAGGED = ("The|DT", "dog|NN", "barks|VBZ", "", "", "Go|VB", "!|.")


def write_tagged(folder, splits=("train", "dev", "test")):
    for split in splits:
        write_table(folder / f"{split}.conll", *TAGGED)
    return folder


def test_words_and_tags_are_read_by_sentence(tmp_path):
    errors = FileErrors()
    corpus = load_words(write_tagged(tmp_path), errors)
    assert errors.notes("raise") == ()
    assert corpus.name == tmp_path.name
    assert corpus.train == corpus.valid == corpus.test
    assert corpus.train.words == (("The", "dog", "barks"), ("Go", "!"))
    assert corpus.train.tags == (("DT", "NN", "VBZ"), ("VB", "."))


def test_plain_text_has_words_only(tmp_path):
    for split in ("train", "valid", "test"):
        text = f"A {split} line .\n\n  two\twords \n"
        (tmp_path / f"{split}.txt").write_text(text)
    corpus = load_words(tmp_path, FileErrors())
    assert corpus.valid == Sentences((("A", "valid", "line", "."), ("two", "words")))


def test_every_mistake_is_named_with_its_line(tmp_path):
    write_tagged(tmp_path, ("train", "valid"))
    write_table(tmp_path / "valid.conll", "one", "|NN", "two|", "three|CD", "")
    errors = FileErrors()
    assert load_words(tmp_path, errors) is None
    with pytest.raises(DataError) as caught:
        errors.notes("raise")
    said = str(caught.value)
    assert "test.conll: is missing" in said
    for number, given in ((1, "'one'"), (2, r"'\tNN'"), (3, r"'two\t'")):
        rule = "must be a word, a tab and its tag, or blank"
        assert f"valid.conll:{number}: {rule}, got {given}" in said
    write_table(tmp_path / "test.conll", "")
    again = FileErrors()
    assert load_words(tmp_path, again) is None
    with pytest.raises(DataError, match=r"test\.conll: must hold sentences"):
        again.notes("raise")


def test_text_that_asks_nothing_is_refused(tmp_path):
    for split in ("train", "valid", "test"):
        write_table(tmp_path / f"{split}.conll", "a|X", "b|X")
    errors = FileErrors()
    assert load_words(tmp_path, errors) is None
    with pytest.raises(DataError, match="at least 2 different tags, holds 1"):
        errors.notes("raise")


def test_words_may_lie_elsewhere_when_given_whole(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train.txt").write_text("a line\n" * 9)
    words = write_tagged(tmp_path / "apart")
    trial = small_text_trial(
        {
            "data": {"source": "lines", "folder": str(folder)},
            "evaluation": {"tasks": [], "words": str(words)},
        }
    )
    assert TEXT.load_data(trial).words.name == "apart"
    assert TEXT.data_digest(trial) != TEXT.training_digest(trial)


def test_missing_files_are_named_by_the_digest_too(tmp_path):
    folder = write_tagged(tmp_path / "words", ("train",))
    assert [file.name for file in word_files(folder)] == [
        "train.conll",
        "valid.conll",
        "test.conll",
    ]
    (tmp_path / "train.txt").write_text("a line\n" * 9)
    trial = small_text_trial(
        {
            "data": {"source": "lines", "root": str(tmp_path)},
            "evaluation": {"tasks": [], "words": "words"},
        }
    )
    with pytest.raises(DataError, match=r"(?s)words=null.*valid\.conll\n.*test\.conll"):
        TEXT.data_digest(trial)
    write_tagged(folder)
    with_words, training = TEXT.data_digest(trial), TEXT.training_digest(trial)
    write_table(folder / "test.conll", *TAGGED, *TAGGED)
    assert TEXT.data_digest(trial) != with_words
    assert TEXT.training_digest(trial) == training
    dataset = TEXT.load_data(trial)
    assert dataset.words.test.words[1] == ("Go", "!", "The", "dog", "barks")
    assert dataset.inventory.used["words test"] == 3


def test_embedded_text_has_no_other_words():
    with pytest.raises(ConfigError, match=r"evaluation.words: must be pydoc/words or"):
        small_text_trial({"evaluation": {"words": "text/masc"}})
    trial = small_text_trial({"evaluation": {"words": "pydoc/words"}})
    assert TEXT.load_data(trial).words == embedded_words()
    assert parse_section(TextEvaluation, {}).words is None


def test_passages_of_one_split_are_in_no_other():
    corpus = embedded_words()
    parts = [set(s.words) for s in (corpus.train, corpus.valid, corpus.test)]
    assert all(len(part) > 50 for part in parts)
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]


def test_positions_are_of_every_word():
    sentences = Sentences((("a", "b", "c"), ("d",), ("e", "f")))
    expected = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)]
    np.testing.assert_array_equal(positions(sentences), expected)


@pytest.mark.data
@pytest.mark.skipif(
    not ROOT or not (Path(ROOT) / "text" / "masc").is_dir(),
    reason="needs D2V_DATA with text/masc",
)
def test_the_real_corpus_is_read_whole():
    errors = FileErrors()
    corpus = load_words(Path(ROOT or "") / "text" / "masc", errors)
    assert errors.num_lines == 0
    assert len(corpus.train) == 25_617
    assert corpus.train.words[0][:3] == ("From", ":", '"')
    assert corpus.train.tags[0][:3] == ("IN", ":", "''")
