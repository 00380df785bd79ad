"""Rotation, context and jigsaw: each against a computation by hand."""

import math

import numpy as np
import pytest
import torch

from d2v_core.build import build_objective, check_buildable
from d2v_core.errors import ConfigError
from d2v_core.objectives.context import AROUND, Layout, pair_corners
from d2v_core.objectives.jigsaw import distant_orders
from d2v_core.objectives.parts.guesses import guessed
from d2v_core.objectives.rotation import all_rotations, rotated
from d2v_core.training.parallel import ALONE
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.small_objectives import objective
from tests.d2v_core.updates import update

LARGE = {"vision": {"image_size": 48, "patch_size": 4, "channels": 3}}
"""A grid of 12 x 12: cells of 16 pixels, tiles of 16."""


def built(kind, *changes, **settings):
    trial = small_trial(objective(kind, **settings), *changes)
    made = build_objective(trial, num_classes=3)
    fill_with_noise(made.module, scale=0.2)
    return made


def images(channels=1, size=8, count=6):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, size, size, generator=generator)


def by_hand(logits, answers):
    logits = logits.detach().double().numpy()
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(logits)), np.asarray(answers)].mean()


@pytest.mark.parametrize("views", ["all", "one"])
def test_rotation_is_cross_entropy_of_the_turns(views):
    made, pixels = built("rotation", views=views), images()
    draw = made.draw(pixels, 2)
    result = made.loss(pixels, None, draw, 2)
    turned, answers = [], []
    for turns in range(4):
        for i, image in enumerate(pixels):
            if views == "all" or int(draw.turns[i]) == turns:
                turned.append(np.rot90(image.numpy(), turns, (1, 2)).copy())
                answers.append(turns)
    pooled = made.encoder(torch.from_numpy(np.stack(turned))).mean(dim=1)
    expected = by_hand(made.module["classifier"](pooled), answers)
    assert result.loss.item() == pytest.approx(expected, rel=1e-4)
    assert result.measure()["prediction/chance_accuracy"] == 0.25


def test_a_turn_is_numpys_and_four_are_none():
    pixels = images()
    views, turns = all_rotations(pixels)
    assert turns.tolist() == [n for n in range(4) for _ in range(6)]
    assert torch.equal(views[:6], pixels)
    back = rotated(views, (4 - turns) % 4)
    assert torch.equal(back, pixels.repeat(4, 1, 1, 1))


def test_all_rotations_are_drawn_about_equally_often():
    made = built("rotation", views="one")
    drawn = torch.cat([made.draw(images(), step).turns for step in range(400)])
    assert drawn.bincount() / len(drawn) == pytest.approx(
        torch.full((4,), 0.25), abs=0.03
    )


def test_jigsaw_puts_the_tiles_where_the_order_says():
    made = built("jigsaw", LARGE, num_permutations=5)
    pixels = images(3, 48)
    draw = made.draw(pixels, 2)
    for image, puzzle, number in zip(pixels, draw.puzzles, draw.orders, strict=True):
        for place, cell in enumerate(made._orders[int(number)]):
            top, left = 16 * (cell // 3), 16 * (cell % 3)
            tile = image[:, top : top + 16, left : left + 16].double()
            mean = tile.mean(dim=(1, 2), keepdim=True)
            std = tile.var(dim=(1, 2), keepdim=True, correction=0).sqrt()
            top, left = 16 * (place // 3), 16 * (place % 3)
            shown = puzzle[:, top : top + 16, left : left + 16]
            expected = ((tile - mean) / std).float()
            torch.testing.assert_close(shown, expected, atol=1e-4, rtol=1e-4)


def test_jigsaw_tiles_keep_within_their_cells_and_move():
    """A grid of 7 x 7 patches of 4: cells of 9 pixels, tiles of 8."""
    sizes = {"vision": {"image_size": 28, "patch_size": 4}}
    made = built("jigsaw", sizes, num_permutations=5)
    ramp = torch.arange(28.0).repeat(2, 1, 28, 1)
    ramp[1] = ramp[1].mT.clone()
    found = set()
    for step in range(30):
        draw = made.draw(ramp, step)
        assert torch.equal(draw.puzzles[:, :, 24:], torch.zeros(2, 1, 4, 28))
        found.add(tuple(draw.orders.tolist()))
    assert len(found) > 10


def test_jigsaw_is_cross_entropy_of_tiles_that_do_not_see_each_other():
    made = built("jigsaw", LARGE, num_permutations=5)
    draw = made.draw(images(3, 48), 2)
    loss = made.loss(images(3, 48), None, draw, 2).loss.item()
    encoder, tiles = made.encoder, []
    for place in range(9):
        keep = torch.zeros(6, 12, 12, dtype=torch.bool)
        top, left = 4 * (place // 3), 4 * (place % 3)
        keep[:, top : top + 4, left : left + 4] = True
        tokens = encoder.embed(draw.puzzles)
        tiles.append(encoder.encode(tokens, keep=keep.flatten(1)).tokens.mean(dim=1))
    logits = made.module["head"](torch.cat(tiles, dim=1))
    assert loss == pytest.approx(by_hand(logits, draw.orders), rel=1e-4)


def test_the_orders_are_different_and_far_apart():
    orders = distant_orders(100)
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(9))}
    distances = (orders[:, None] != orders[None]).sum(axis=2)
    pairs = distances[np.triu_indices(100, 1)]
    assert pairs.min() >= 6
    # Two random orders share one place on average.
    assert pairs.mean() > 8.0
    assert np.array_equal(distant_orders(100), orders)


def test_context_cuts_the_second_patch_where_the_class_says():
    layout = Layout(side=3, gap=6, jitter=1, drops_colours=True)
    places = np.repeat(np.arange(8), 300)
    corners = pair_corners(places, 48, 12, layout, np.random.default_rng(0))
    assert corners.min() >= 0
    assert corners.max() <= 48 - 12
    away = corners[:, 1] - corners[:, 0] - AROUND[places] * 18
    assert {tuple(shift) for shift in away} <= {
        (a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)
    }
    assert len({tuple(shift) for shift in away}) == 9


def test_context_is_cross_entropy_of_two_patches_seen_alone():
    sizes = {"vision": {"image_size": 64, "patch_size": 4, "channels": 3}}
    made, pixels = built("context", sizes, colours="keep"), images(3, 64)
    draw = made.draw(pixels, 2)
    loss = made.loss(pixels, None, draw, 2).loss.item()
    pooled = []
    for which in range(2):
        keep = torch.zeros(6, 256, dtype=torch.bool)
        keep.scatter_(1, draw.index[:, which], True)
        tokens = made.encoder.embed(draw.patches[:, which])
        encoded = made.encoder.encode(tokens, keep=keep).tokens
        assert encoded.shape[1] == 16
        pooled.append(encoded.mean(dim=1))
        for image, shown in zip(pixels, draw.patches[:, which], strict=True):
            assert torch.isin(shown[shown != 0], image).all()
            assert int((shown != 0).sum()) == 3 * 16 * 16
    logits = made.module["head"](torch.cat(pooled, dim=1))
    assert loss == pytest.approx(by_hand(logits, draw.places), rel=1e-4)


def test_dropped_colours_leave_one_channel_of_each_patch():
    draw = built("context", LARGE).draw(images(3, 48), 1)
    used = (draw.patches != 0).any(dim=(3, 4)).sum(dim=2)
    assert used.unique().tolist() == [1]


@pytest.mark.parametrize("kind", ["rotation", "context", "jigsaw"])
def test_a_head_that_says_the_same_for_all_is_dead(kind):
    made = built(kind, {"health": {"min_prediction_std": 0.01}})
    head = list(made.module.values())[1]
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
    result = update(made, images(), None, 1)
    measured = result.measure()
    assert measured["prediction/std"] < made.thresholds["prediction/std"]
    classes = round(1 / measured["prediction/chance_accuracy"])
    assert result.loss.item() == pytest.approx(math.log(classes), rel=1e-5)


def test_accuracy_counts_right_guesses():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    measured = guessed(logits, torch.tensor([0, 0, 0]), ALONE).measure()
    assert measured["prediction/accuracy"] == pytest.approx(2 / 3)
    assert measured["prediction/chance_accuracy"] == 0.5


def test_images_that_are_too_small_are_refused():
    few = {"vision": {"patch_size": 4}}
    with pytest.raises(ConfigError) as error:
        check_buildable(small_trial(objective("jigsaw"), few))
    message = (
        "objective.kind: jigsaw needs at least 3 patches along a side of the image"
    )
    assert str(error.value) == f"{message}, got 2"
    with pytest.raises(ConfigError) as error:
        check_buildable(small_trial(objective("context", side=0.5)))
    assert str(error.value) == (
        "objective.side: three patches of 4 pixels and two gaps of 2 must fit into 8, "
        "got 0.5"
    )
