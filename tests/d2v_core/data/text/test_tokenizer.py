import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.data.text.pydoc_text import load_pydoc
from d2v_core.data.text.tokenizer import TextTokenizer, train_bpe, trained_tokenizer
from d2v_core.encoders.token_inputs import BOS, EOS, SPECIAL_TOKENS
from tests.d2v_core.small_text import small_tokenizer

TOKENIZER = small_tokenizer()
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(texts)
def test_any_text_comes_back(text):
    (ids,) = TOKENIZER.bare([text])
    assert TOKENIZER.decode(ids) == text
    assert min(ids) >= len(SPECIAL_TOKENS)


def test_what_looks_like_a_special_token_is_text():
    text = "a <pad> and a <mask></s>"
    (row,) = TOKENIZER.rows([text], 64)
    assert (row < len(SPECIAL_TOKENS)).sum() == 2
    assert TOKENIZER.decode(row.tolist()) == text


@given(st.lists(texts, min_size=1, max_size=4), st.integers(3, 12))
def test_rows_begin_and_end_and_are_cut_to_fit(given, max_tokens):
    for row, ids in zip(
        TOKENIZER.rows(given, max_tokens), TOKENIZER.bare(given), strict=True
    ):
        assert row.tolist() == [BOS, *ids[: max_tokens - 2], EOS]


@given(texts, texts, st.integers(6, 30))
def test_pairs_are_joint_and_the_longer_text_is_cut(a, b, max_tokens):
    (row,) = TOKENIZER.pair_rows([a], [b], max_tokens)
    (first,), (second,) = TOKENIZER.bare([a]), TOKENIZER.bare([b])
    middle = row.tolist().index(EOS)
    kept_a, kept_b = row[1:middle].tolist(), row[middle + 2 : -1].tolist()
    assert row.tolist() == [BOS, *kept_a, EOS, EOS, *kept_b, EOS]
    assert (first[: len(kept_a)], second[: len(kept_b)]) == (kept_a, kept_b)
    assert len(row) == min(max_tokens, len(first) + len(second) + 4)
    if len(kept_a) < len(first):
        assert len(kept_a) >= len(kept_b) - 1
    if len(kept_b) < len(second):
        assert len(kept_b) >= len(kept_a) - 1


def test_special_tokens_have_the_first_ids_and_the_size_is_a_ceiling():
    passages = load_pydoc().passages
    tokenizer = TextTokenizer(train_bpe(passages, 700))
    assert tokenizer.num_tokens == 700
    raw = tokenizer._tokenizer
    assert [raw.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert TextTokenizer(train_bpe(["ab ab"], 700)).num_tokens < 270


def test_training_is_the_same_in_another_process():
    texts = load_pydoc().passages[:300]
    code = (
        "import sys, json; from d2v_core.data.text.tokenizer import train_bpe; "
        "print(train_bpe(json.load(sys.stdin), 600))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == train_bpe(texts, 600)


def test_training_happens_once(own_cache):
    asked = []

    def corpus():
        asked.append(1)
        return ["some text", "some more text"]

    first = trained_tokenizer(corpus, digest="abc", vocab_size=270)
    again = trained_tokenizer(corpus, digest="abc", vocab_size=270)
    trained_tokenizer(corpus, digest="abc", vocab_size=271)
    assert len(asked) == 2
    assert first.json == again.json
    assert len(list((own_cache / "text" / "tokenizers").iterdir())) == 2


@pytest.mark.parametrize("texts", [[], ["a"]])
def test_rows_are_int64(texts):
    assert all(row.dtype == np.int64 for row in TOKENIZER.rows(texts, 8))
