"""Every test runs over all kinds of attention layer and prefix tokens that exist."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.encoders.attention_window import (
    additive_mask,
    nearest_positions,
    window_size,
)
from d2v_core.encoders.timm_vision import VisionEncoder, create_vit
from tests.d2v_core.encoders.test_timm_vision import SIZES, VARIANTS
from tests.d2v_core.small import fill_with_noise

KINDS = VARIANTS | {
    "vit with differential attention": {
        "timm_model": "vit_dwee_patch16_reg1_gap_256",
    },
}


def make(name):
    encoder = VisionEncoder(create_vit(**{**SIZES, **KINDS[name]})).eval()
    fill_with_noise(encoder)
    return encoder


@pytest.fixture(params=KINDS)
def encoder(request):
    return make(request.param)


def choose_kernel(encoder, fused):
    for block in encoder.vit.blocks:
        block.attn.fused_attn = fused


@pytest.fixture(params=[True, False], ids=["fused", "written out"])
def any_kernel(request, encoder):
    choose_kernel(encoder, request.param)
    return encoder


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def nearest_oracle(grid, number):
    """For each patch the set of its nearest ones, by sorting in plain Python."""
    places = [(row, column) for row in range(grid[0]) for column in range(grid[1])]
    found = []
    for row, column in places:
        distances = [np.hypot(row - r, column - c) for r, c in places]
        order = sorted(range(len(places)), key=lambda i: (round(distances[i], 9), i))
        found.append(set(order[:number]))
    return found


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_the_window_is_the_nearest_patches_ties_in_reading_order(rows, columns, data):
    number = data.draw(st.integers(1, rows * columns))
    ours = nearest_positions((rows, columns), number)
    assert [set(row.nonzero().flatten().tolist()) for row in ours] == nearest_oracle(
        (rows, columns), number
    )
    assert ours.diagonal().all()


def test_a_window_of_five_is_a_cross_in_the_middle_and_a_triangle_at_the_corner():
    windows = nearest_positions((4, 4), 5).view(16, 4, 4).int()
    assert windows[5].tolist() == [[0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0], [0] * 4]
    assert windows[0].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]


def test_patches_do_not_attend_to_prefix_tokens_which_attend_to_everything():
    allowed = torch.tensor([[True, False], [True, True]])
    no = -torch.inf
    expected = torch.tensor([[0, 0, 0], [no, 0, no], [no, 0, 0]])
    assert torch.equal(additive_mask(allowed, 1), expected)


def test_the_shares_of_figure_3_are_its_numbers_of_patches():
    shares = [0.01, 0.026, 0.051, 0.128, 0.255, 0.51, 1.0, None]
    sizes = [window_size(share, 196) for share in shares]
    assert sizes == [2, 5, 10, 25, 50, 100, 196, 196]
    assert window_size(1e-9, 196) == 1


@pytest.mark.parametrize("share", [None, 1.0, 15.6 / 16])
def test_a_window_of_everything_changes_nothing(encoder, images, share):
    before = encoder(images)
    with encoder.restriction(share)(encoder):
        assert torch.equal(encoder(images), before)


def attention_branch(encoder, images, share, block):
    """Input and output of a block's attention layer, patches only."""
    seen = []
    keep = encoder.vit.blocks[block].attn.register_forward_hook(
        lambda module, inputs, output: seen.append((inputs[0], output))
    )
    with torch.no_grad(), encoder.restriction(share)(encoder):
        encoder(images)
    keep.remove()
    return (tokens[:, encoder.num_prefix_tokens :] for tokens in seen[0])


def value_projection(attention, tokens):
    """What a softmax over one position passes on, in NumPy."""
    weight = attention.qkv.weight.detach().double().numpy()
    bias = getattr(attention, "v_bias", None)
    if bias is None and attention.qkv.bias is not None:
        bias = attention.qkv.bias[-len(weight) // 3 :]
    values = tokens.double().numpy() @ weight[-len(weight) // 3 :].T
    if bias is not None:
        values = values + bias.detach().double().numpy()
    out = attention.proj.weight.detach().double().numpy()
    return values @ out.T + attention.proj.bias.detach().double().numpy()


# Not differential attention: there a value passes through two softmaxes and a norm.
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("share", [1e-9, 1 / 16])
def test_with_the_smallest_window_each_patch_gets_its_own_value(
    name, images, share, fused
):
    encoder = make(name)
    choose_kernel(encoder, fused)
    attention = encoder.vit.blocks[2].attn
    tokens, output = attention_branch(encoder, images, share, block=2)
    expected = value_projection(attention, tokens)
    np.testing.assert_allclose(output, expected, atol=1e-4)


@pytest.mark.parametrize("number", [1, 2, 5, 9, 15])
def test_a_patch_reaches_exactly_the_windows_it_is_in(any_kernel, images, number):
    window = nearest_oracle((4, 4), number)
    before = first_block(any_kernel, images, number / 16)
    for patch in (0, 6, 15):
        changed = images.clone()
        row, column = 2 * (patch // 4), 2 * (patch % 4)
        changed[:, :, row : row + 2, column : column + 2] += 3.0
        after = first_block(any_kernel, changed, number / 16)
        differs = (before != after).any(dim=2)[0].tolist()
        assert differs == [patch in window[position] for position in range(16)]


def first_block(encoder, images, share):
    """Patch features at the end of the first block, computed one image at a time."""
    seen = []
    keep = encoder.vit.blocks[0].register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    with torch.no_grad(), encoder.restriction(share)(encoder):
        encoder(images)
    keep.remove()
    return seen[0][:, encoder.num_prefix_tokens :]


def test_what_is_seen_grows_by_one_window_per_block_and_not_by_the_class_token(
    encoder, images
):
    """Three blocks of a cross: nothing from further than three steps away."""
    changed = images.clone()
    changed[:, :, :2, :2] += 3.0
    with torch.no_grad(), encoder.restriction(5 / 16)(encoder):
        before, after = encoder(images), encoder(changed)
    differs = (before != after).any(dim=2)[0]
    allowed = nearest_positions((4, 4), 5).long()
    reached = (allowed @ allowed @ allowed)[:, 0] > 0
    assert differs.tolist() == reached.tolist()
    assert not reached.all()


def test_closing_the_context_lifts_the_restriction_even_after_an_error(encoder, images):
    before = encoder(images)
    restrict = encoder.restriction(2 / 16)
    with restrict(encoder):
        assert not torch.allclose(encoder(images), before)
    assert torch.equal(encoder(images), before)
    with pytest.raises(RuntimeError, match="channels"), restrict(encoder):
        encoder(images[:, :1])
    assert torch.equal(encoder(images), before)


# timm's differential attention warns of its own mixed precision.
@pytest.mark.parametrize("name", VARIANTS)
def test_the_mask_takes_the_precision_of_the_tokens(name, images):
    encoder = make(name)
    restrict = encoder.restriction(2 / 16)
    with restrict(encoder), torch.autocast("cpu", torch.bfloat16):
        assert encoder(images).isfinite().all()
    encoder.to(torch.bfloat16)
    with restrict(encoder):
        assert encoder(images.bfloat16()).isfinite().all()
