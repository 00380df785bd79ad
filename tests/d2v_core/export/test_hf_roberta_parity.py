"""Encoders of text by objective: Hugging Face's RobertaModel is the oracle."""

import pytest
import torch
from transformers import AutoTokenizer, Data2VecTextModel, RobertaModel

from d2v_core.encoders.token_inputs import pad_rows
from tests.d2v_core.export.opened import TOLERANCE, exported, reopened, trained
from tests.d2v_core.small_objectives import objective
from tests.d2v_core.small_text import small_samples, small_text_trial, small_tokenizer

TOKENS = {**objective("tokens"), "mask": {"kind": "bert"}}


@torch.no_grad()
def test_an_encoder_of_tokens_is_a_roberta_and_its_tokenizer_is_read(tmp_path):
    trial, tokenizer = small_text_trial(TOKENS), small_tokenizer()
    encoder = trained(trial)
    written = exported(trial, encoder, tmp_path, tokenizer=tokenizer.json)
    assert (written.class_name, written.remarks) == ("RobertaModel", ())
    model, theirs = (
        reopened(tmp_path, RobertaModel),
        AutoTokenizer.from_pretrained(tmp_path),
    )
    samples = small_samples(5, seed=9, pairs=True)
    first, second = list(samples.first), list(samples.second)
    options = {"padding": True, "return_tensors": "pt", "truncation": True}
    for texts, rows in (
        ((first,), tokenizer.rows(first, 24)),
        ((first, second), tokenizer.pair_rows(first, second, 24)),
    ):
        read, ours = theirs(*texts, **options), pad_rows(rows)
        assert read["input_ids"].tolist() == ours.values.tolist()
        found, expected = model(**read).last_hidden_state, encoder(ours)
        real = read["attention_mask"].bool()
        torch.testing.assert_close(found[real], expected[real], **TOLERANCE)
        assert expected[real].std() > 0.1
    assert theirs.mask_token_id == encoder.mask_id


def test_pre_norm_text_is_neither_class(tmp_path):
    trial = small_text_trial(TOKENS, {"text": {"norm": "pre"}})
    says = (
        r"Face's RobertaModel and Data2VecTextModel cannot express this encoder: its "
        r"blocks are pre-norm, they must be post-norm \(text.norm: post\)$"
    )
    with pytest.raises(ValueError, match=says):
        exported(trial, trained(trial), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_data2vec_text_stays_data2vecs(tmp_path):
    trial = small_text_trial()
    assert exported(trial, trained(trial), tmp_path).remarks == ()
    reopened(tmp_path, Data2VecTextModel)
