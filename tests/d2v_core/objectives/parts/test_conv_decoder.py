"""The decoder against its formula, written with plain calls of torch."""

import pytest
import torch
from torch.nn import functional as F

from d2v_core.objectives.parts.conv_decoder import ConvDecoder
from tests.d2v_core.small import fill_with_noise


def everywhere(tokens):
    return torch.arange(tokens.shape[0] * tokens.shape[1])


def decoder(**changes):
    settings = {"dim": 12, "width": 12, "depth": 3, "kernel": 3, "groups": 2}
    made = ConvDecoder(**(settings | changes))
    fill_with_noise(made, seed=1)
    return made


def by_formula(made, tokens, grid=None):
    """fairseq's ``Decoder1d`` and ``Decoder2d``: channels first, one step a line."""
    x = tokens.transpose(1, 2)
    if grid is not None:
        x = x.reshape(len(x), -1, *grid)
    for layer in made.layers:
        kernel = layer.kernel_size[0]
        convolved = (F.conv1d if grid is None else F.conv2d)(
            x, layer.weight, layer.bias, padding=kernel // 2, groups=layer.groups
        )
        if kernel % 2 == 0:  # SamePad
            convolved = (
                convolved[..., :-1] if grid is None else convolved[..., :-1, :-1]
            )
        last = convolved.movedim(1, -1)
        normed = F.layer_norm(last, last.shape[-1:]).movedim(-1, 1)
        out = 0.5 * normed * (1 + torch.erf(normed / 2**0.5))
        adds = made.residual and out.shape[1] == x.shape[1]
        x = out + x if adds else out
    x = x.flatten(2).transpose(1, 2)
    for module in made.projection:
        x = module(x)
    return x.flatten(0, 1)


@pytest.mark.parametrize(
    ("changes", "grid"),
    [
        ({}, None),
        ({}, (3, 5)),
        ({"kernel": 4}, None),
        ({"kernel": 4}, (5, 3)),
        ({"kernel": 7, "width": 8, "groups": 4}, None),
        ({"kernel": 5, "width": 24, "groups": 12}, (3, 5)),
        ({"groups": 1, "residual": False, "projection_depth": 2}, None),
        ({"kernel": 1, "depth": 1}, (3, 5)),
    ],
)
def test_it_is_the_references_formula(changes, grid):
    made = decoder(grid=grid, **changes)
    tokens = torch.randn(2, 15, 12)
    found = made(tokens, everywhere(tokens))
    torch.testing.assert_close(found, by_formula(made, tokens, grid))


def test_a_projection_of_two_layers_doubles_the_channels():
    made = decoder(width=8, projection_depth=2, groups=1)
    shapes = [tuple(p.shape) for p in made.projection.parameters()]
    assert shapes == [(16, 8), (16,), (12, 16), (12,)]


def test_predictions_are_made_only_where_they_are_wanted():
    made = decoder()
    tokens = torch.randn(2, 6, 12)
    some = torch.tensor([0, 5, 7])
    whole = made(tokens, everywhere(tokens))
    torch.testing.assert_close(made(tokens, some), whole[some])


@pytest.mark.parametrize("grid", [None, (2, 3)])
def test_padding_changes_nothing(grid):
    made = decoder(grid=grid)
    tokens = torch.randn(2, 6, 12)
    real = torch.ones(2, 6, dtype=torch.bool)
    real[1, 4:] = False
    other = torch.where(real[:, :, None], tokens, 100.0)
    places = real.flatten().nonzero()[:, 0]
    found = made(tokens, places, real)
    torch.testing.assert_close(found, made(other, places, real))
    if grid is None:  # as long as it is alone
        alone = made(tokens[1:, :4], torch.arange(4))
        torch.testing.assert_close(found[6:], alone)


def test_dropout_is_for_the_objective_to_use():
    made = decoder(input_dropout=0.5)
    tokens = torch.randn(1, 6, 12)
    made.train()
    assert torch.equal(made(tokens, torch.arange(6)), made(tokens, torch.arange(6)))
    assert made.input_dropout.p == 0.5
