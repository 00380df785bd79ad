"""timm's own arithmetic, written out block by block, is the oracle."""

import re

import pytest
import torch
from torch import nn

from d2v_core.encoders.timm_vision import VisionEncoder, create_vit
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.updates import top_layers

SIZES = {
    "image_size": 8,
    "patch_size": 2,
    "channels": 3,
    "width": 16,
    "depth": 3,
    "num_heads": 2,
}
VARIANTS = {
    "vit": {"timm_model": "vit_tiny_patch16_224"},
    "vit with layer scale": {
        "timm_model": "vit_tiny_patch16_224",
        "layer_scale": 0.5,
    },
    "vit without class token": {"timm_model": "vit_medium_patch16_gap_240"},
    "vit with registers": {"timm_model": "vit_medium_patch16_reg4_gap_256"},
    "vit for images of any size": {"timm_model": "vit_intern300m_patch14_448"},
    "deit": {"timm_model": "deit_tiny_patch16_224"},
    "distilled deit": {"timm_model": "deit_tiny_distilled_patch16_224"},
    "beit": {"timm_model": "beit_base_patch16_224", "layer_scale": 0.5},
    "beit with a shared table": {
        "timm_model": "beit_base_patch16_224",
        "shared_relative_position": True,
        "layer_scale": 0.5,
    },
}


def make(options, **changes):
    encoder = VisionEncoder(create_vit(**{**SIZES, **options, **changes})).eval()
    fill_with_noise(encoder)
    return encoder


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def encoder(request):
    return make(request.param)


@pytest.fixture
def images():
    return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def blocks_of_vit(vit, tokens):
    for block in vit.blocks:
        attention = block.ls1(block.attn(block.norm1(tokens)))
        tokens = tokens + attention
        ffn = block.ls2(block.mlp(block.norm2(tokens)))
        tokens = tokens + ffn
        yield {"attention": attention, "ffn": ffn, "block": tokens}


def blocks_of_beit(vit, tokens):
    bias = vit.rel_pos_bias() if vit.rel_pos_bias is not None else None
    for block in vit.blocks:
        normed = block.norm1(tokens)
        attention = block.gamma_1 * block.attn(normed, shared_rel_pos_bias=bias)
        tokens = tokens + attention
        ffn = block.gamma_2 * block.mlp(block.norm2(tokens))
        tokens = tokens + ffn
        yield {"attention": attention, "ffn": ffn, "block": tokens}


def features_by_hand(vit, images):
    patches = vit.patch_embed(images)
    if type(vit).__name__ == "Beit":
        tokens = torch.cat([vit.cls_token.expand(len(images), -1, -1), patches], dim=1)
        features = list(blocks_of_beit(vit, tokens))
    else:
        tokens = vit.norm_pre(vit._pos_embed(patches))
        features = list(blocks_of_vit(vit, tokens))
    return features, vit.norm(features[-1]["block"])


@pytest.mark.parametrize("feature", ["block", "ffn_residual", "ffn", "attention"])
def test_captured_features_are_what_the_blocks_compute(encoder, images, feature):
    features, _ = features_by_hand(encoder.vit, images)
    name = "block" if feature == "ffn_residual" else feature
    captured = top_layers(encoder, images, feature=feature, top_k=2)
    assert len(captured) == 2
    for ours, theirs in zip(captured, features[-2:], strict=True):
        patches = theirs[name][:, -16:]
        torch.testing.assert_close(ours, patches, atol=1e-5, rtol=1e-4)


def test_block_features_are_timms_own_intermediates(encoder, images):
    theirs = encoder.vit.forward_intermediates(
        images, output_fmt="NLC", intermediates_only=True
    )
    ours = top_layers(encoder, images, feature="block", top_k=3)
    assert len(ours) == 3
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_the_output_is_the_patches_after_the_final_norm(encoder, images):
    _, final = features_by_hand(encoder.vit, images)
    assert isinstance(encoder.vit.norm, nn.LayerNorm)
    torch.testing.assert_close(encoder.all_tokens(images), final, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encoder(images), final[:, -16:], atol=1e-5, rtol=1e-4)


def test_one_patch_at_a_time_the_mask_token_replaces_what_is_hidden(encoder, images):
    mask = torch.zeros(3, 16, dtype=torch.bool)
    mask[0, 5] = mask[1, [0, 15]] = True
    hidden, seen = images.clone(), images.clone()
    hidden[0, :, 2:4, 2:4] += 3.0  # patch 5: row 1, column 1
    hidden[1, :, :2, :2] += 3.0
    hidden[1, :, 6:, 6:] += 3.0
    seen[0, :, 2:4, 4:6] += 3.0  # patch 6
    output = encoder(images, mask)
    assert torch.equal(encoder(hidden, mask), output)
    assert not torch.allclose(encoder(seen, mask), output)
    assert not torch.allclose(encoder(hidden), encoder(images))


def test_a_mask_is_forgotten_after_the_call(encoder, images):
    before = encoder(images)
    encoder(images, torch.ones(3, 16, dtype=torch.bool))
    assert torch.equal(encoder(images), before)


def test_everything_masked_gives_the_same_output_for_every_image(encoder, images):
    output = encoder(images, torch.ones(3, 16, dtype=torch.bool))
    torch.testing.assert_close(output[0], output[1])


def test_no_hook_is_left_after_reading_features(encoder, images):
    top_layers(encoder, images, feature="ffn", top_k=3)
    top_layers(encoder, images, feature="block", top_k=3)
    assert len(encoder.vit.blocks) == 3
    for block in encoder.vit.blocks:
        for module in block.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks


def test_samples_do_not_influence_each_other(encoder, images):
    mask = torch.rand(3, 16, generator=torch.Generator().manual_seed(2)) < 0.5
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        encoder(images[order], mask[order]), encoder(images, mask)[order]
    )


def test_prefix_tokens_are_known():
    counts = {name: make(o).num_prefix_tokens for name, o in VARIANTS.items()}
    assert counts == {
        "vit": 1,
        "vit with layer scale": 1,
        "vit without class token": 0,
        "vit with registers": 4,
        "vit for images of any size": 1,
        "deit": 1,
        "distilled deit": 2,
        "beit": 1,
        "beit with a shared table": 1,
    }


def test_class_tokens_are_known():
    with_class_token = {n for n, o in VARIANTS.items() if make(o).has_class_token}
    assert set(VARIANTS) - with_class_token == {
        "vit without class token",
        "vit with registers",
    }


def test_gradients_reach_the_mask_token_when_something_is_masked(images):
    encoder = make(VARIANTS["vit"])
    encoder(images, torch.ones(3, 16, dtype=torch.bool)).sum().backward()
    assert float(encoder.mask_token.grad.abs().sum()) > 0


def test_every_size_can_be_overridden():
    encoder = make(VARIANTS["vit"], mlp_ratio=3.0)
    assert (encoder.dim, encoder.depth, encoder.grid) == (16, 3, (4, 4))
    assert encoder.vit.blocks[0].attn.num_heads == 2
    assert encoder.vit.blocks[0].mlp.fc1.out_features == 48


def test_dropouts_reach_their_places():
    vit = create_vit(
        **SIZES,
        timm_model="beit_base_patch16_224",
        drop_path=0.2,
        dropout=0.3,
        attention_dropout=0.4,
    )
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in vit.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2])
    assert vit.blocks[0].attn.proj_drop.p == 0.3
    assert vit.blocks[0].attn.attn_drop.p == 0.4


def test_sincos_positions_are_fixed_and_differ_between_all_patches():
    encoder = VisionEncoder(
        create_vit(**SIZES, timm_model="vit_tiny_patch16_224", positions="sincos")
    )
    table = encoder.vit.pos_embed
    assert not table.requires_grad
    assert torch.equal(table[0, 0], torch.zeros(16))
    assert len(torch.unique(table[0, 1:], dim=0)) == 16
    # Position (0, 0): sines are 0, cosines 1.
    assert sorted(set(table[0, 1].tolist())) == [0.0, 1.0]
    # One axis depends on the row only, the other on the column only.
    grid = table[0, 1:].view(4, 4, 16)
    by_row = [bool((grid[:, :1, c] == grid[:, :, c]).all()) for c in range(16)]
    by_column = [bool((grid[:1, :, c] == grid[:, :, c]).all()) for c in range(16)]
    assert sum(by_row) == sum(by_column) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"timm_model": "vit_tini_patch16_224"},
            "vision.timm_model must be a timm model of the families "
            "vision_transformer, deit, beit, got 'vit_tini_patch16_224'; "
            "did you mean 'vit_tiny_patch16_224'?",
        ),
        (
            {"timm_model": "resnet18"},
            "vision.timm_model must be a timm model of the families",
        ),
        (
            {"timm_model": "vit_tiny_patch16_224", "shared_relative_position": True},
            "vision.shared_relative_position needs a timm model of the family beit, "
            "got 'vit_tiny_patch16_224'",
        ),
        (
            {"timm_model": "beit_base_patch16_224", "positions": "sincos"},
            "vision.positions: sincos needs a timm model with absolute positions and "
            "a width divisible by 4, got width 16 and no positions",
        ),
        (
            {"timm_model": "vit_small_patch16_18x2_224"},
            "vision.timm_model must have blocks that add attention and feed-forward "
            "part one after the other, got 'vit_small_patch16_18x2_224'",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_setting_to_change(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        create_vit(**{**SIZES, **options})
