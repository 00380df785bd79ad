"""Hugging Face's Data2VecText is the oracle: the same weights, the same numbers."""

import json

import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    Data2VecTextConfig,
    Data2VecTextForSequenceClassification,
    Data2VecTextModel,
)

from d2v_core.build import build_encoder
from d2v_core.encoders.inputs import Padded
from d2v_core.encoders.token_inputs import PAD, pad_rows
from d2v_core.export import EXPORTERS
from d2v_core.export.hf_text import DEFAULTS, export_hf_text, load_hf_text
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_text import small_samples, small_text_trial, small_tokenizer
from tests.d2v_core.updates import top_layers

TOLERANCE = {"atol": 1e-4, "rtol": 0.0}
SIZES = {
    "vocab_size": 300,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 50,
    "max_position_embeddings": 34,
}
VARIANTS = {
    "as published": {"layer_norm_eps": 1e-5, "type_vocab_size": 1},
    "as configured": {"type_vocab_size": 2},
    "large epsilon": {"layer_norm_eps": 0.1},
}


def random_model(options, kind=Data2VecTextModel):
    model = kind(Data2VecTextConfig(**{**SIZES, **options})).eval()
    fill_with_noise(model)
    return model


def random_ids():
    ids = torch.randint(5, 300, (3, 20), generator=torch.Generator().manual_seed(1))
    lengths = (20, 3, 11)
    for row, length in zip(ids, lengths, strict=True):
        row[length:] = PAD
    return Padded(ids, lengths)


def assert_same_numbers(encoder, model):
    """The embedding and every layer, at all positions that are not padding."""
    rows = random_ids()
    real = rows.values != PAD
    with torch.no_grad():
        theirs = model(
            rows.values, attention_mask=real.long(), output_hidden_states=True
        )
        blocks = top_layers(encoder, rows, feature="block", top_k=encoder.depth)
        ours = [encoder.placed(encoder.embed(rows), None, None), *blocks]
        assert len(ours) == len(theirs.hidden_states)
        for layer, reference in zip(ours, theirs.hidden_states, strict=True):
            torch.testing.assert_close(layer[real], reference[real], **TOLERANCE)
        final = theirs.last_hidden_state
        torch.testing.assert_close(encoder(rows)[real], final[real], **TOLERANCE)
        assert final.std() > 0.1


def reopened(folder):
    """Opened by Hugging Face, which must miss nothing but the pooler."""
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert set(info.pop("missing_keys")) <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert not any(info.values()), info
    return model.eval()


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_hugging_face_model_gives_the_same_numbers_in_our_core_and_back(
    options, tmp_path
):
    model = random_model(options)
    model.save_pretrained(tmp_path / "theirs")
    encoder = load_hf_text(tmp_path / "theirs")
    assert not encoder.training
    assert_same_numbers(encoder, model)
    export_hf_text(encoder, tmp_path / "ours")
    assert_same_numbers(encoder, reopened(tmp_path / "ours"))


def test_the_encoder_inside_a_classifier_is_found(tmp_path):
    model = random_model({}, Data2VecTextForSequenceClassification)
    model.save_pretrained(tmp_path)
    assert_same_numbers(load_hf_text(tmp_path), model.data2vec_text)


def test_our_encoder_and_tokenizer_are_opened_with_equal_outputs(tmp_path):
    trial = small_text_trial({"text": {"dropout": 0.1, "layerdrop": 0.1}})
    encoder, tokenizer = build_encoder(trial).eval(), small_tokenizer()
    fill_with_noise(encoder)
    EXPORTERS["text"]["hf"](encoder, tmp_path, tokenizer=tokenizer.json)
    model, theirs = reopened(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    samples = small_samples(5, seed=9, pairs=True)
    first, second = list(samples.first), list(samples.second)
    options = {"padding": True, "return_tensors": "pt", "truncation": True}
    for texts, rows in (
        ((first,), tokenizer.rows(first, 24)),
        ((first, second), tokenizer.pair_rows(first, second, 24)),
    ):
        read = theirs(*texts, **options)
        ours = pad_rows(rows)
        assert read["input_ids"].tolist() == ours.values.tolist()
        with torch.no_grad():
            found, expected = model(**read).last_hidden_state, encoder(ours)
        real = read["attention_mask"].bool()
        torch.testing.assert_close(found[real], expected[real], **TOLERANCE)
    assert theirs.mask_token_id == encoder.mask_id == 4
    assert load_hf_text(tmp_path).mask_id == 4


def test_the_mask_token_is_the_tokenizers(tmp_path):
    random_model({}).save_pretrained(tmp_path)
    added = {"added_tokens": [{"content": "<mask>", "id": 299}]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(added))
    assert load_hf_text(tmp_path).mask_id == 299


def test_a_setting_that_the_configuration_leaves_out_has_hugging_faces_value():
    theirs = Data2VecTextConfig().to_dict()
    assert {name: theirs[name] for name in DEFAULTS} == DEFAULTS


def test_pre_norm_blocks_cannot_be_expressed(tmp_path):
    encoder = build_encoder(small_text_trial({"text": {"norm": "pre"}}))
    with pytest.raises(ValueError, match="are pre-norm, they must be post-norm"):
        export_hf_text(encoder, tmp_path)


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("model_type", "roberta", "model_type must be data2vec-text, got roberta"),
        ("hidden_act", "relu", "hidden_act must be gelu, got relu"),
        ("pad_token_id", 0, "pad_token_id must be 1, got 0"),
        ("num_hidden_layers", 3, "weights do not fit config.json: .* has no place"),
        ("vocab_size", 301, r"must have shape \(301, 24\), got \(300, 24\)"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(setting, value, says, tmp_path):
    random_model({}).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), setting: value}))
    with pytest.raises(ValueError, match=says):
        load_hf_text(tmp_path)
