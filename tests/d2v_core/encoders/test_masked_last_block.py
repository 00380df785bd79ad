"""The full last block, computed by timm itself, is the oracle of the short cut."""

import copy

import pytest
import torch
from torch import nn

from d2v_core.build import build_learner
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.masked_last_block import (
    is_known,
    last_block_at,
)
from d2v_core.encoders.rows import masked_rows
from tests.d2v_core.encoders.test_timm_vision import VARIANTS, make
from tests.d2v_core.small import fill_with_noise, small_trial

MASKS = {
    "counts vary": [[2, 3, 7], [0, 1, 2, 3, 15], [9]],
    "counts are equal": [[0, 5], [14, 15], [3, 8]],
    "an image without any": [[1, 2, 3], [], [4]],
}
BEIT = {"timm_model": "beit_base_patch16_224"}
CASES = {
    **VARIANTS,
    "beit without layer scale": BEIT,
}


@pytest.fixture
def images():
    return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=MASKS.values(), ids=MASKS.keys())
def mask(request):
    return mask_of(request.param)


def mask_of(positions_per_image):
    mask = torch.zeros(3, 16, dtype=torch.bool)
    for image, positions in enumerate(positions_per_image):
        mask[image, positions] = True
    return mask


def positions_of(mask):
    return mask.flatten().nonzero().squeeze(1)


def gradients(encoder, tokens):
    weights = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(5))
    named = dict(encoder.named_parameters())
    grads = torch.autograd.grad(
        (tokens * weights).sum(), list(named.values()), allow_unused=True
    )
    return dict(zip(named, grads, strict=True))


def assert_same_tokens_and_gradients(encoder, images, mask):
    positions = positions_of(mask)
    ours = encoder.masked_tokens(images, mask, positions)
    plain = Encoder.masked_tokens(encoder, images, mask, positions)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
    expected = gradients(encoder, plain)
    for name, gradient in gradients(encoder, ours).items():
        if expected[name] is None:
            assert gradient is None, name
            continue
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(
            gradient, expected[name], atol=1e-5 * max(scale, 1.0), rtol=1e-5, msg=name
        )


@pytest.mark.parametrize("name", CASES)
def test_tokens_and_all_gradients_are_those_of_the_full_block(name, images, mask):
    encoder = make(CASES[name]).train()
    assert is_known(encoder.vit)
    assert_same_tokens_and_gradients(encoder, images, mask)


def test_with_norms_inside_attention_and_feed_forward_part(images, mask):
    encoder = make(VARIANTS["vit"]).train()
    block, width = encoder.vit.blocks[-1], 16
    block.attn.q_norm, block.attn.k_norm = nn.LayerNorm(8), nn.LayerNorm(8)
    block.attn.norm, block.mlp.norm = nn.LayerNorm(width), nn.LayerNorm(4 * width)
    fill_with_noise(encoder)
    assert is_known(encoder.vit)
    assert_same_tokens_and_gradients(encoder, images, mask)


@pytest.mark.parametrize("variant", ["vit", "beit"])
def test_stochastic_depth_drops_the_same_images(variant, images, mask):
    encoder = make(VARIANTS[variant], drop_path=0.5).train()
    assert is_known(encoder.vit)
    for seed in range(4):
        torch.manual_seed(seed)
        ours = encoder.masked_tokens(images, mask, positions_of(mask))
        torch.manual_seed(seed)
        plain = encoder(images, mask)[mask]
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_dropout_keeps_the_distribution(images):
    encoder = make(VARIANTS["vit"], depth=1, dropout=0.3, attention_dropout=0.3).train()
    mask = mask_of(MASKS["counts vary"]).repeat(400, 1)
    many = images.repeat(400, 1, 1, 1)
    with torch.no_grad():
        torch.manual_seed(0)
        ours = encoder.masked_tokens(many, mask, positions_of(mask)).view(400, 9, 16)
        plain = encoder(many, mask)[mask].view(400, 9, 16)
    assert not torch.equal(ours, plain)
    error = (ours.var(0) + plain.var(0)).div(400).sqrt()
    assert float(((ours.mean(0) - plain.mean(0)) / error).abs().max()) < 4.5
    torch.testing.assert_close(ours.std(0), plain.std(0), atol=0.0, rtol=0.25)


@pytest.mark.parametrize("feature", ["block", "ffn_residual", "ffn", "attention"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_features_are_those_of_the_full_blocks(variant, feature, images, mask):
    encoder = make(VARIANTS[variant])
    options = {"feature": feature, "top_k": 2}
    with torch.no_grad():
        ours = encoder.masked_top_layers(images, mask, positions_of(mask), **options)
        plain = encoder.top_layers(images, **options)
    assert len(ours) == 2
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b[mask], atol=1e-5, rtol=1e-5)


def with_another_attention(vit):
    class Other(type(vit.blocks[-1].attn)):
        pass

    vit.blocks[-1].attn.__class__ = Other


def with_a_hook(vit):
    vit.blocks[-1].attn.register_forward_hook(lambda module, inputs, output: output * 2)


def with_a_parametrised_projection(vit):
    projection = vit.blocks[-1].attn.qkv
    nn.utils.parametrizations.weight_norm(projection)


def with_another_norm(vit):
    vit.norm = nn.Softmax(dim=1)


def with_checkpointing(vit):
    vit.set_grad_checkpointing(True)


def without_fused_attention(vit):
    vit.blocks[-1].attn.fused_attn = False


def with_a_compiled_block(vit):
    block = vit.blocks[-1]  # what Module.compile sets
    block._compiled_call_impl = block._call_impl


UNKNOWN = [
    with_another_attention,
    with_a_hook,
    with_a_parametrised_projection,
    with_another_norm,
    with_checkpointing,
    without_fused_attention,
    with_a_compiled_block,
]


@pytest.mark.parametrize("change", UNKNOWN)
@pytest.mark.parametrize("variant", ["vit", "beit"])
def test_what_is_not_known_runs_in_full(change, variant, images):
    encoder = make(VARIANTS[variant]).train()
    change(encoder.vit)
    assert not is_known(encoder.vit)
    mask = mask_of(MASKS["counts vary"])
    assert_same_tokens_and_gradients(encoder, images, mask)
    top = encoder.masked_top_layers(
        images, mask, positions_of(mask), feature="ffn", top_k=2
    )
    plain = encoder.top_layers(images, feature="ffn", top_k=2)
    assert torch.equal(top[-1], plain[-1][mask])


def test_the_block_is_as_before_even_after_an_error(images):
    encoder = make(VARIANTS["vit"])
    rows = masked_rows(
        mask_of(MASKS["counts vary"]), num_prefix_tokens=1, device=images.device
    )
    before = encoder(images)

    def fail():
        with last_block_at(encoder.vit, rows):
            encoder(images)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert "forward" not in vars(encoder.vit.blocks[-1])
    assert torch.equal(encoder(images), before)
    copy.deepcopy(encoder)(images)


def test_rows_are_the_masked_positions_then_padding_of_the_same_image():
    mask = mask_of(MASKS["counts vary"])
    rows = masked_rows(mask, num_prefix_tokens=1, device=mask.device)
    assert rows.tokens[0, :3].tolist() == [3, 4, 8]
    assert rows.tokens[1].tolist() == [1, 2, 3, 4, 16]
    assert rows.kept.tolist() == [0, 1, 2, 5, 6, 7, 8, 9, 10]
    assert rows.flat.view(3, 5)[2, 0] == 2 * 17 + 10
    assert len(set(rows.flat.tolist())) == 15


@pytest.mark.parametrize("layer_norm", ["none", "layer", "instance", "batch"])
@pytest.mark.parametrize("feature", ["block", "ffn"])
def test_a_step_has_the_targets_and_the_loss_of_the_full_computation(
    layer_norm, feature
):
    trial = small_trial({"target": {"layer_norm": layer_norm, "feature": feature}})
    learner = build_learner(trial, num_classes=3)
    fill_with_noise(learner.module, seed=1)
    fill_with_noise(learner.teacher.network, seed=2)
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    mask = learner._draw_mask(images, 3).mask
    targets = learner.targets(images)[mask]
    ours = learner._masked_targets(images, mask, positions_of(mask))
    torch.testing.assert_close(ours, targets, atol=1e-5, rtol=1e-5)
    head = learner.module["head"]
    loss = learner._loss(head(learner.student(images, mask)[mask]), targets)
    torch.testing.assert_close(learner.step(images, torch.zeros(4), 3).loss, loss)
