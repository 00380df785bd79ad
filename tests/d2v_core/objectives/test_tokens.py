"""The masked language model: Hugging Face's RobertaForMaskedLM is the oracle."""

import math

import pytest
import torch
from transformers import RobertaConfig, RobertaForMaskedLM

from d2v_core.build import build_objective
from d2v_core.encoders.token_inputs import MASK, PAD, pad_rows
from d2v_core.export.hf_text import to_hf
from d2v_core.objectives.tokens import MaskedTokens
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_objectives import objective
from tests.d2v_core.small_text import small_text_trial

BERT = {"mask": {"kind": "bert", "probability": 0.4}}
HEAD = {
    "dense.weight": "lm_head.dense.weight",
    "dense.bias": "lm_head.dense.bias",
    "norm.weight": "lm_head.layer_norm.weight",
    "norm.bias": "lm_head.layer_norm.bias",
    "bias": "lm_head.bias",
}


def built(*changes):
    made = build_objective(
        small_text_trial(objective("tokens"), BERT, *changes), num_classes=0
    )
    assert isinstance(made, MaskedTokens)
    fill_with_noise(made.module)
    return made


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(1)
    lengths = (20, 7, 13)
    return pad_rows(
        [
            torch.randint(5, 280, (length,), generator=generator).numpy()
            for length in lengths
        ]
    )


def roberta(made):
    encoder = made.encoder
    config = RobertaConfig(
        vocab_size=encoder.vocab_size,
        hidden_size=encoder.dim,
        num_hidden_layers=encoder.depth,
        num_attention_heads=2,
        intermediate_size=2 * encoder.dim,
        max_position_embeddings=len(encoder.pos_embed),
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = RobertaForMaskedLM(config)
    weights = {f"roberta.{k}": v for k, v in to_hf(encoder.state_dict()).items()}
    weights["roberta.embeddings.token_type_embeddings.weight"] = torch.zeros(1, 16)
    head = made.module["head"].state_dict()
    weights |= {HEAD[name]: value for name, value in head.items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert unexpected == []
    assert {name for name in missing if "lm_head.decoder" not in name} <= {
        "roberta.embeddings.position_ids",
        "roberta.embeddings.token_type_ids",
    }
    model.tie_weights()
    return model


def test_loss_and_gradients_are_robertas(rows):
    made = built()
    draw = made.draw(rows, 3)
    result = made.loss(rows, None, draw, 3)
    result.loss.backward()

    theirs = roberta(made)
    read = torch.where(draw.mask, MASK, draw.read.values)
    labels = torch.full_like(read, -100).flatten()
    labels[draw.positions] = rows.values.flatten()[draw.positions]
    output = theirs(
        read, attention_mask=(rows.values != PAD).long(), labels=labels.view_as(read)
    )
    output.loss.backward()
    torch.testing.assert_close(result.loss, output.loss, atol=1e-5, rtol=1e-5)
    grads = dict(theirs.named_parameters())
    ours = {n: p.grad for n, p in made.module["head"].named_parameters()}
    for name, grad in ours.items():
        torch.testing.assert_close(grad, grads[HEAD[name]].grad, atol=1e-4, rtol=1e-4)
    named = {n: p.grad for n, p in made.encoder.named_parameters()}
    for name, grad in to_hf(named).items():
        expected = grads[f"roberta.{name}"].grad
        if name == "embeddings.word_embeddings.weight":
            # HF's embedding gives padding no gradient, the tied output matrix does.
            grad, expected = grad[PAD + 1 :], expected[PAD + 1 :]
        torch.testing.assert_close(grad, expected, atol=1e-4, rtol=1e-4, msg=name)


def test_the_loss_is_at_every_selected_position_and_masks_differ_by_update(rows):
    made = built()
    one, other = made.draw(rows, 1), made.draw(rows, 2)
    assert not torch.equal(one.mask, other.mask)
    masked = set(one.mask.flatten().nonzero().flatten().tolist())
    assert masked < set(one.positions.tolist())
    assert made.loss(rows, None, one, 1).num_terms == len(one.positions)


def test_accuracy_stands_beside_that_of_the_most_frequent_token(rows):
    made = built()
    draw = made.draw(rows, 1)
    measured = made.loss(rows, None, draw, 1).measure()
    answers = rows.values.flatten()[draw.positions]
    most = answers.bincount().max() / len(answers)
    assert measured["prediction/chance_accuracy"] == pytest.approx(float(most))
    assert 0.0 <= measured["prediction/accuracy"] <= 1.0


def test_a_head_that_says_the_same_everywhere_is_dead(rows):
    made = built({"health": {"min_prediction_std": 0.01}})
    with torch.no_grad():
        made.module["head"].norm.weight.zero_()
    measured = made.loss(rows, None, made.draw(rows, 1), 1).measure()
    assert measured["prediction/std"] < made.thresholds["prediction/std"]


def test_a_fresh_network_is_about_as_good_as_a_guess(rows):
    trial = small_text_trial(objective("tokens"), BERT)
    made = build_objective(trial, num_classes=0)
    loss = made.loss(rows, None, made.draw(rows, 1), 1).loss.item()
    assert loss == pytest.approx(math.log(280), rel=0.05)
