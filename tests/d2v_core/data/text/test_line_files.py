import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.config.text import LinesData
from d2v_core.data.file_errors import FileErrors
from d2v_core.data.text import line_files
from d2v_core.data.text.line_files import lines_digest, load_lines
from d2v_core.encoders.token_inputs import BOS, EOS
from d2v_core.errors import DataError
from tests.d2v_core.small_text import small_samples, small_tokenizer

TOKENIZER = small_tokenizer()


def corpus(folder, content=None, **changes):
    if content is None:
        content = "".join(f"{text}\n" for text in small_samples(40, seed=5).first)
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "train.txt").write_bytes(data)
    return LinesData(root=str(folder), **changes)


def load(data, vocab_size=280, max_tokens=24):
    return load_lines(data, FileErrors(), vocab_size=vocab_size, max_tokens=max_tokens)


words = st.lists(st.sampled_from(["ape", "bee", "cow"]), max_size=9).map(" ".join)


@given(st.lists(words, min_size=1, max_size=12), st.integers(8, 30))
def test_blocks_hold_whole_lines_of_one_document_and_are_as_long_as_they_can(
    lines, max_tokens
):
    rows = list(line_files._rows(iter(lines), TOKENIZER, max_tokens, joined=True))
    assert all(row[0] == BOS and len(row) <= max_tokens for row in rows)
    encoded = [ids for ids in TOKENIZER.bare(lines) if ids]
    # Nothing is lost, and each piece of a line is ended by one </s>.
    flat = [i for row in rows for i in row if i not in (BOS, EOS)]
    assert flat == [i for ids in encoded for i in ids]
    pieces = [-(-len(ids) // (max_tokens - 2)) for ids in encoded]
    assert sum(row.count(EOS) for row in rows) == sum(pieces)
    documents = "\n".join(lines).split("\n\n")
    first_words = [text.split()[0] for text in documents if text.split()]
    assert len(rows) >= len(first_words)


def test_a_block_is_closed_only_where_the_next_line_does_not_fit():
    lines = ["ape bee", "cow dog", "elk", "", "fox", " gnu hen ape"]
    lengths = [len(ids) for ids in TOKENIZER.bare(lines)]
    full = 1 + sum(lengths[:2]) + 2
    rows = list(line_files._rows(iter(lines), TOKENIZER, full, joined=True))
    decoded = [TOKENIZER.decode(row) for row in rows]
    assert decoded[:2] == ["ape beecow dog", "elk"]
    assert decoded[2].startswith("fox")


def test_lines_are_rows_of_their_own_cut_to_fit(tmp_path):
    data = corpus(tmp_path, "ape bee cow\n\n   \nape\n", rows="lines")
    loaded = load(data, max_tokens=8)
    rows = loaded.rows.read(range(len(loaded.rows)))
    texts = ["ape bee cow", "ape"]
    expected = loaded.tokenizer.rows(texts, 8)
    assert [row.tolist() for row in rows] == [row.tolist() for row in expected]


def test_the_work_is_done_once_and_the_result_is_the_same(tmp_path, monkeypatch):
    data = corpus(tmp_path)
    first = load(data)
    monkeypatch.setattr(line_files, "_rows", None)
    again = load(data)
    assert first.tokenizer.json == again.tokenizer.json
    assert isinstance(again.rows.ids, np.memmap)
    assert again.rows.ids.dtype == np.uint16
    assert (first.rows.starts == again.rows.starts).all()
    assert (first.rows.ids == again.rows.ids).all()


def test_another_text_has_another_digest(tmp_path):
    data = corpus(tmp_path)
    before = lines_digest(data)
    assert before == lines_digest(data)
    corpus(tmp_path, "another text\n")
    assert lines_digest(data) != before


def test_lines_that_are_not_utf_8_are_named_or_left_out(tmp_path):
    content = b"ape bee\ncow\n" + b"d\xffg\n" + b"\xe9lk\n" + b"fox\n"
    data = corpus(tmp_path, content)
    with pytest.raises(DataError) as caught:
        load(data)
    file = tmp_path / "train.txt"
    assert str(caught.value).splitlines()[1:] == [
        f"  {file}:3: must be UTF-8, byte 1 is not",
        f"  {file}:4: must be UTF-8, byte 0 is not",
    ]
    skipping = LinesData(root=str(tmp_path), on_error="skip")
    for _ in range(2):  # newly made, then from the cache
        loaded = load(skipping)
        assert loaded.notes == (f"{file}: 2 unreadable lines left out",)
        (row,) = loaded.rows.read([0])
        assert loaded.tokenizer.decode(row.tolist()) == "ape beecowfox"
    with pytest.raises(DataError):
        load(data)


@pytest.mark.parametrize("content", ["", "\n  \n\n"])
def test_an_empty_corpus_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="train.txt: must hold lines of text, holds no"):
        load(corpus(tmp_path, content))


def test_a_missing_corpus_says_what_to_set(tmp_path):
    with pytest.raises(DataError, match="data.folder: must be an existing folder"):
        lines_digest(LinesData(root=str(tmp_path), folder="wiki"))
    (tmp_path / "wiki").mkdir()
    with pytest.raises(DataError, match="data.folder: .*wiki must hold train.txt"):
        lines_digest(LinesData(root=str(tmp_path), folder="wiki"))
    with pytest.raises(DataError, match="data.root: .* --data-root FOLDER or set D2V"):
        lines_digest(LinesData())
