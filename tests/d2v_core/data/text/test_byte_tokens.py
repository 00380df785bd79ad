"""Bytes as tokens, against Python's own UTF-8."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from d2v_core.config.text import NUM_BYTE_TOKENS, LinesData, PydocData
from d2v_core.data.file_errors import FileErrors
from d2v_core.data.text.dataset import load_text
from d2v_core.data.text.line_files import load_lines
from d2v_core.data.text.pydoc_text import load_pydoc
from d2v_core.data.text.tokenizer import (
    TextTokenizer,
    byte_tokens,
    train_bpe,
    trained_tokenizer,
)
from d2v_core.data.text.words import Sentences
from d2v_core.encoders.token_inputs import BOS, EOS, MASK, SPECIAL_TOKENS, pad_rows
from d2v_core.evaluation.text.word_probe import hidden_words, seen_words
from d2v_core.export import EXPORTERS
from d2v_core.modalities import modality_of
from d2v_core.trial import run_trial
from tests.d2v_core.small_text import small_text_trial

TOKENIZER = TextTokenizer(byte_tokens())
BYTES = {"text": {"tokenizer": "bytes", "vocab_size": NUM_BYTE_TOKENS}}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(texts)
def test_a_token_is_a_byte_and_any_text_comes_back(text):
    (ids,) = TOKENIZER.bare([text])
    assert ids == [len(SPECIAL_TOKENS) + byte for byte in text.encode()]
    assert TOKENIZER.decode(ids) == text


def test_every_byte_has_an_id_and_there_are_no_others():
    assert TOKENIZER.num_tokens == NUM_BYTE_TOKENS == len(SPECIAL_TOKENS) + 256
    raw = TOKENIZER._tokenizer
    assert [raw.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]


def test_what_looks_like_a_special_token_is_bytes():
    text = "a <pad> and a <mask></s>"
    (row,) = TOKENIZER.rows([text], 64)
    assert row.tolist() == [BOS, *[5 + byte for byte in text.encode()], EOS]


def test_it_is_a_bpe_without_merges():
    """The same pieces in the same order, with other ids."""
    bpe = TextTokenizer(train_bpe(load_pydoc().passages[:100], NUM_BYTE_TOKENS))
    ours = TOKENIZER.bare(load_pydoc().passages[:100])
    theirs = bpe.bare(load_pydoc().passages[:100])
    pairs = {
        pair
        for a, b in zip(ours, theirs, strict=True)
        for pair in zip(a, b, strict=True)
    }
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_nothing_is_trained_or_kept(own_cache):
    def corpus():
        raise AssertionError("the text is not needed")

    made = trained_tokenizer(corpus, digest="abc", vocab_size=261, kind="bytes")
    assert made.json == byte_tokens()
    assert not own_cache.exists() or not list(own_cache.rglob("*"))


def test_rows_of_a_corpus_are_bytes_and_are_kept_beside_those_of_a_bpe(
    tmp_path, own_cache
):
    (tmp_path / "train.txt").write_text("Grüße\n", encoding="utf-8")
    data = LinesData(root=str(tmp_path))
    sizes = {"vocab_size": NUM_BYTE_TOKENS, "max_tokens": 24}
    for _ in range(2):  # made, then read
        bpe = load_lines(data, FileErrors(), **sizes)
        of_bytes = load_lines(data, FileErrors(), kind="bytes", **sizes)
        (row,), (other,) = of_bytes.rows.read([0]), bpe.rows.read([0])
        expected = [BOS, *[5 + byte for byte in "Grüße".encode()], EOS]
        assert row.tolist() == expected
        assert other.tolist() != expected
        assert not of_bytes.notes


def test_the_embedded_corpus_is_bytes_up_to_the_longest_row():
    dataset = load_text(
        PydocData(), (), vocab_size=NUM_BYTE_TOKENS, max_tokens=24, kind="bytes"
    )
    passages = load_pydoc().passages
    assert len(dataset.rows) == len(passages)
    for i in (0, 1, len(passages) - 1):
        (row,) = dataset.rows.read([i])
        start = passages[i].encode()[:22]
        assert row.tolist() == [BOS, *[5 + byte for byte in start], EOS]


def test_words_are_hidden_as_one_mask_and_seen_at_their_first_byte():
    said = Sentences((("a", "naïve", "fox"),))
    hidden = hidden_words(said, TOKENIZER, size=9, max_tokens=32)
    rows = {
        int(place[1]): row
        for row, place in zip(hidden.rows, hidden.positions, strict=True)
    }
    before, after = b"a", b" fox"
    assert rows[1].tolist() == [
        *(BOS, *[5 + b for b in before]),
        MASK,
        *(*[5 + b for b in after], EOS),
    ]
    seen = seen_words(said, TOKENIZER, size=9, max_tokens=32)
    whole = seen.rows[0].tolist()
    starts = [whole[column] for _, column in seen.places.tolist()]
    assert starts == [5 + ord("a"), 5 + ord(" "), 5 + ord(" ")]


def test_data_of_bytes_is_not_that_of_a_bpe():
    bpe = small_text_trial({"text": {"vocab_size": NUM_BYTE_TOKENS}})
    of_bytes = small_text_trial(BYTES)
    same = modality_of(bpe).same_data
    assert same(bpe) != same(of_bytes)


def test_a_trial_of_bytes_runs_with_tasks_and_words():
    trial = small_text_trial(
        BYTES,
        {"mask": {"kind": "random", "ratio": 0.5}},
        {"evaluation": {"words": "pydoc/words", "num_labels": 40}},
    )
    *_, finished = run_trial(trial)
    assert finished.status == "finished"
    assert {"eval/glue_score", "eval/masked_word_accuracy"} <= set(finished.metrics)


def test_bert_masks_read_other_bytes_only():
    trial = small_text_trial(
        BYTES,
        {
            "mask": {
                "kind": "bert",
                "probability": 0.5,
                "mask_share": 0.1,
                "random_share": 0.9,
            }
        },
    )
    modality = modality_of(trial)
    encoder = modality.build_encoder(trial)
    example = modality.example(trial, 64)
    masked = modality.masks(trial, encoder)(example, np.random.default_rng(0))
    read = masked.read.values[masked.read.values != example.values]
    assert len(SPECIAL_TOKENS) <= int(read.min())
    assert int(read.max()) < NUM_BYTE_TOKENS


def test_hugging_face_opens_it_with_the_same_ids_and_outputs(tmp_path):
    trial = small_text_trial(BYTES)
    encoder = modality_of(trial).build_encoder(trial).eval()
    EXPORTERS["text"]["hf"](encoder, tmp_path, tokenizer=TOKENIZER.json)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = "Grüße – <mask>"
    read = theirs(text, split_special_tokens=True, return_tensors="pt")
    ours = pad_rows(TOKENIZER.rows([text], 24))
    assert read["input_ids"].tolist() == ours.values.tolist()
    assert theirs.mask_token_id == MASK
    with torch.no_grad():
        found = AutoModel.from_pretrained(tmp_path).eval()(**read).last_hidden_state
        torch.testing.assert_close(found, encoder(ours), atol=1e-4, rtol=1e-4)
