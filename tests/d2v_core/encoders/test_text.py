from dataclasses import replace

import numpy as np
import pytest
import torch

from d2v_core.build import build_encoder, check_buildable
from d2v_core.config import parse_trial
from d2v_core.encoders.inputs import Padded
from d2v_core.encoders.text import TextEncoder, position_ids
from d2v_core.encoders.token_inputs import MASK, PAD, pad_rows
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_text import small_text_trial

LENGTHS = (9, 5, 7, 9)


def random_rows(lengths=LENGTHS, seed=0):
    generator = np.random.default_rng(seed)
    return pad_rows([generator.integers(5, 280, n) for n in lengths])


@pytest.fixture
def encoder():
    encoder = build_encoder(small_text_trial())
    fill_with_noise(encoder)
    return encoder.eval()


def test_positions_count_the_real_tokens_from_the_padding_id_plus_one():
    ids = torch.tensor([[0, 7, 8, 2, PAD, PAD], [PAD, 9, PAD, 8, 2, 7]])
    expected = [[2, 3, 4, 5, 1, 1], [1, 2, 1, 3, 4, 5]]
    assert position_ids(ids).tolist() == expected


def test_new_weights_are_berts(encoder):
    encoder = build_encoder(small_text_trial({"text": {"width": 64, "depth": 6}}))
    for name, parameter in encoder.named_parameters():
        if "norm" in name:
            continue
        if name.endswith("bias"):
            assert not parameter.any(), name
        else:
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.1), name
    assert not encoder.tokens.weight[PAD].any()
    assert not encoder.pos_embed[PAD].any()


def test_the_embedding_is_token_plus_position_normalised(encoder):
    rows = random_rows()
    mask = torch.zeros(rows.values.shape, dtype=torch.bool)
    mask[0, 3] = True
    ids = rows.values.clone()
    ids[0, 3] = MASK
    table, places = encoder.tokens.weight, encoder.pos_embed
    x = (table[ids] + places[position_ids(rows.values)]).detach().double().numpy()
    centred = x - x.mean(-1, keepdims=True)
    normed = centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-5)
    weight, bias = (p.detach().double().numpy() for p in encoder.norm.parameters())
    found = encoder.placed(encoder.embed(rows), mask, None).detach().numpy()
    np.testing.assert_allclose(found, normed * weight + bias, atol=1e-5)


def test_padding_changes_nothing(encoder):
    rows = random_rows()
    longer = replace(
        rows, values=torch.nn.functional.pad(rows.values, (0, 4), value=PAD)
    )
    with torch.no_grad():
        tokens, more = encoder(rows), encoder(longer)
        for i, length in enumerate(LENGTHS):
            alone = Padded(rows.values[i : i + 1, :length], (length,))
            expected = encoder(alone)[0]
            torch.testing.assert_close(tokens[i, :length], expected, atol=1e-5, rtol=0)
            torch.testing.assert_close(more[i, :length], expected, atol=1e-5, rtol=0)


def test_permuting_the_batch_permutes_the_tokens(encoder):
    rows = random_rows()
    order = [2, 0, 3, 1]
    permuted = Padded(rows.values[order], tuple(rows.lengths[i] for i in order))
    with torch.no_grad():
        expected, found = encoder(rows)[order], encoder(permuted)
    real = encoder.real(permuted)
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=0)


def test_real_is_none_without_padding_and_else_where_ids_are_not_padding(encoder):
    assert encoder.real(random_rows((6, 6))) is None
    expected = [[c < n for c in range(9)] for n in LENGTHS]
    assert encoder.real(random_rows()).tolist() == expected


def test_parts_are_the_embedding_with_its_norm_and_the_positions(encoder):
    names = encoder.part_names(["feature_encoder", "positions"])
    assert names == {"tokens.weight", "norm.weight", "norm.bias", "pos_embed"}
    assert encoder.part_names(["positions"]) == {"pos_embed"}


def test_padding_never_learns():
    encoder = build_encoder(small_text_trial())
    encoder(random_rows()).sum().backward()
    assert not encoder.tokens.weight.grad[PAD].any()
    assert not encoder.pos_embed.grad[PAD].any()
    assert encoder.tokens.weight.grad.any()


def test_the_published_base_model_has_the_number_of_parameters_derived_by_hand():
    trial = parse_trial({"modality": "text"})
    dim, ffn, vocabulary, places = 768, 3072, 50_265, 514
    block = 4 * (dim * dim + dim) + 2 * dim * ffn + ffn + dim + 2 * 2 * dim
    expected = (vocabulary + places) * dim + 2 * dim + 12 * block
    roberta_base, token_type = 124_055_040, dim  # Hugging Face's, without pooler
    assert expected == roberta_base - token_type
    assert check_buildable(trial) == expected


def test_sizes_are_free():
    encoder = TextEncoder(
        vocab_size=300,
        max_tokens=12,
        dim=12,
        depth=1,
        num_heads=3,
        ffn_dim=20,
        norm="pre",
    )
    assert encoder(random_rows((12, 3)).detach()).shape == (2, 12, 12)
