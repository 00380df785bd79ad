"""The common Transformer against PyTorch's own layers."""

import numpy as np
import pytest
import torch
from torch import nn

from d2v_core.encoders.encoder import Collect
from d2v_core.encoders.transformer import Transformer
from tests.d2v_core.small import fill_with_noise

FEATURES = ("ffn", "attention", "ffn_residual", "block")
LENGTHS = (7, 5, 2)


def make(norm="post", **options):
    sizes = {"dim": 16, "depth": 3, "num_heads": 2, "ffn_dim": 24, "norm": norm}
    network = Transformer(**{**sizes, **options})
    fill_with_noise(network)
    return network.eval()


def run(network, tokens, real=None):
    return network(tokens, network.attention_mask(tokens, real))[0]


def padded_input():
    tokens = torch.randn(3, 7, 16, generator=torch.Generator().manual_seed(0))
    real = torch.arange(7) < torch.tensor(LENGTHS)[:, None]
    return tokens, real


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_blocks_are_pytorchs_encoder_layers(norm):
    network = make(norm)
    tokens, real = padded_input()
    expected = tokens
    for block in network.blocks:
        layer = nn.TransformerEncoderLayer(
            16, 2, 24, 0.0, "gelu", batch_first=True, norm_first=norm == "pre"
        ).train()  # evaluation mode would take another path
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": block.qkv.weight,
                "self_attn.in_proj_bias": block.qkv.bias,
                "self_attn.out_proj.weight": block.out.weight,
                "self_attn.out_proj.bias": block.out.bias,
                "linear1.weight": block.fc1.weight,
                "linear1.bias": block.fc1.bias,
                "linear2.weight": block.fc2.weight,
                "linear2.bias": block.fc2.bias,
                "norm1.weight": block.norm1.weight,
                "norm1.bias": block.norm1.bias,
                "norm2.weight": block.norm2.weight,
                "norm2.bias": block.norm2.bias,
            }
        )
        expected = layer(expected, src_key_padding_mask=~real)
    expected = network.norm(expected)
    torch.testing.assert_close(
        run(network, tokens, real)[real], expected[real], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("window", [None, 0.4])
def test_padding_changes_nothing(norm, window):
    network = make(norm)
    network.window = window
    tokens, real = padded_input()
    together = run(network, tokens, real)
    other = torch.where(real[:, :, None], tokens, torch.full_like(tokens, 9.0))
    assert torch.equal(run(network, other, real)[real], together[real])
    for row, length in enumerate(LENGTHS):
        alone = run(network, tokens[row : row + 1, :length])
        torch.testing.assert_close(
            alone[0], together[row, :length], atol=2e-6, rtol=1e-5
        )


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_features_stand_where_the_paper_takes_them(norm):
    network = make(norm, depth=1)
    block = network.blocks[0]
    tokens, _ = padded_input()
    _, layers = network(tokens, collect=Collect(1, FEATURES))
    found = {name: layer for name, (layer,) in layers.items()}
    x = tokens + found["attention"]
    if norm == "post":
        x = block.norm1(x)
    hidden = torch.nn.functional.gelu(block.fc1(block.norm2(x) if norm == "pre" else x))
    torch.testing.assert_close(found["ffn"], block.fc2(hidden))
    torch.testing.assert_close(found["ffn_residual"], x + found["ffn"])
    last = found["ffn_residual"]
    torch.testing.assert_close(
        found["block"], block.norm2(last) if norm == "post" else last
    )


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 1.0])
def test_a_window_is_the_nearest_positions_of_each_row(share):
    network = make(depth=1)
    tokens, real = padded_input()
    network.window = share
    allowed = network.attention_mask(tokens, real)[:, 0].numpy()
    for row, length in enumerate(LENGTHS):
        size = max(1, int(np.rint(length * np.float32(share))))
        for query in range(length):
            keys = np.flatnonzero(allowed[row, query])
            assert len(keys) == size
            assert keys.max() < length
            assert query in keys
            assert (np.diff(keys) == 1).all()
            if keys[0] > 0 and keys[-1] < length - 1:  # away from the ends: centred
                assert abs((keys[0] + keys[-1]) / 2 - query) <= 0.5


def test_layerdrop_skips_whole_blocks_in_training_only():
    network = make(layerdrop=0.999)
    tokens, _ = padded_input()
    whole = run(network, tokens)
    assert not torch.equal(whole, tokens)
    network.train()
    torch.manual_seed(0)
    assert torch.equal(run(network, tokens), tokens)
    _, layers = network(tokens, collect=Collect(3, ("block",)))
    assert len(layers["block"]) == 3
    assert not torch.equal(layers["block"][-1], tokens)


def test_drop_path_rises_from_the_first_block_and_keeps_the_mean():
    network = make(drop_path=0.5)
    assert [block.drop_path for block in network.blocks] == [0.0, 0.25, 0.5]
    block = network.blocks[2].train()
    torch.manual_seed(0)
    kept = block._skipped(torch.ones(20_000, 1, 1))
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.05)
