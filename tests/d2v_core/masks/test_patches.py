import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2v_core.masks.patches import BlockMasks, RandomMasks, num_patches_to_mask


def beit_mask(rows, columns, num_masked, min_patches, min_aspect, rng):
    """One image at a time, as BEiT's generator is described (facts, section 2.6)."""
    mask = np.zeros((rows, columns), dtype=bool)
    max_patches = rows * columns
    while mask.sum() < num_masked:
        cap = min(num_masked - int(mask.sum()), max_patches)
        added = 0
        for _ in range(10):
            area = rng.uniform(min_patches, cap)
            log_aspect = rng.uniform(math.log(min_aspect), math.log(1 / min_aspect))
            height = round(math.sqrt(area * math.exp(log_aspect)))
            width = round(math.sqrt(area / math.exp(log_aspect)))
            if width >= columns or height >= rows:
                continue
            top = rng.randint(0, rows - height)
            left = rng.randint(0, columns - width)
            block = mask[top : top + height, left : left + width]
            added = block.size - int(block.sum())
            if 0 < added <= cap:
                block[:] = True
                break
            added = 0
        if not added:
            break
    return mask


def neighbours_alike(masks):
    """Share of horizontally adjacent patches that are both masked: blockiness."""
    return (masks[:, :, 1:] & masks[:, :, :-1]).mean()


@pytest.fixture(scope="module")
def reference_14():
    rng = random.Random(0)
    return np.stack([beit_mask(14, 14, 120, 16, 0.3, rng) for _ in range(1500)])


@pytest.fixture(scope="module")
def ours_14():
    sample = BlockMasks(grid=(14, 14), ratio=0.612)
    return sample(4000, np.random.default_rng(0))


def test_the_authors_ratio_asks_for_120_of_196():
    assert BlockMasks(grid=(14, 14), ratio=0.612).num_masked == 120


def test_block_masks_have_the_measured_counts_on_the_authors_grid(ours_14):
    counts = ours_14.sum(axis=(1, 2))
    assert counts.mean() == pytest.approx(119.5, abs=0.3)
    assert counts.mean() / 196 == pytest.approx(0.610, abs=0.005)
    assert (counts == 120).mean() == pytest.approx(0.69, abs=0.04)
    assert counts.max() == 120
    assert counts.min() >= 100


def test_block_masks_are_distributed_like_beits_one_image_at_a_time(
    ours_14, reference_14
):
    counts, expected = ours_14.sum(axis=(1, 2)), reference_14.sum(axis=(1, 2))
    assert counts.mean() == pytest.approx(expected.mean(), abs=0.12)
    assert counts.std() == pytest.approx(expected.std(), abs=0.15)
    assert np.abs(ours_14.mean(axis=0) - reference_14.mean(axis=0)).max() < 0.065
    assert neighbours_alike(ours_14) == pytest.approx(
        neighbours_alike(reference_14), abs=0.005
    )


def test_block_masks_on_an_8_by_8_grid_match_beits():
    rng = random.Random(1)
    expected = np.stack([beit_mask(8, 8, 38, 16, 0.3, rng) for _ in range(1500)])
    masks = BlockMasks(grid=(8, 8), ratio=0.6)(4000, np.random.default_rng(1))
    counts = masks.sum(axis=(1, 2))
    assert counts.mean() == pytest.approx(37.7, abs=0.15)
    assert counts.mean() == pytest.approx(expected.sum(axis=(1, 2)).mean(), abs=0.12)
    assert np.abs(masks.mean(axis=0) - expected.mean(axis=0)).max() < 0.065


def test_block_masks_of_a_rectangular_grid_are_not_transposed():
    masks = BlockMasks(grid=(4, 12), ratio=0.5, min_patches=4)(
        50, np.random.default_rng(0)
    )
    assert masks.shape == (50, 4, 12)


def test_no_mask_is_empty_where_beits_can_be():
    rng = random.Random(0)
    reference = [beit_mask(4, 4, 10, 16, 0.3, rng).sum() for _ in range(500)]
    assert min(reference) == 0
    masks = BlockMasks(grid=(4, 4), ratio=0.612)(2000, np.random.default_rng(0))
    assert masks.any(axis=(1, 2)).all()


def test_max_patches_limits_every_single_block():
    # One block only: the wanted count is at most the largest block.
    sample = BlockMasks(grid=(10, 10), ratio=0.5, min_patches=2, max_patches=4)
    masks = sample(300, np.random.default_rng(0))
    unlimited = BlockMasks(grid=(10, 10), ratio=0.5, min_patches=2)
    whole = unlimited(300, np.random.default_rng(0))
    assert neighbours_alike(masks) < neighbours_alike(whole) - 0.03


@settings(max_examples=60, deadline=None)
@given(
    grid=st.tuples(st.integers(2, 10), st.integers(2, 10)),
    ratio=st.floats(0.01, 0.99),
    min_patches=st.integers(1, 20),
    max_patches=st.none() | st.integers(1, 100),
    min_aspect=st.floats(0.1, 1.0),
    seed=st.integers(0, 2**32),
)
def test_block_masks_hide_at_least_one_patch_and_never_more_than_asked(
    grid, ratio, min_patches, max_patches, min_aspect, seed
):
    sample = BlockMasks(
        grid=grid,
        ratio=ratio,
        min_patches=min_patches,
        max_patches=max_patches,
        min_aspect=min_aspect,
    )
    counts = sample(5, np.random.default_rng(seed)).sum(axis=(1, 2))
    assert counts.min() >= 1
    assert counts.max() <= max(1, round(ratio * grid[0] * grid[1]))
    assert counts.max() < grid[0] * grid[1]


@settings(max_examples=40, deadline=None)
@given(
    grid=st.tuples(st.integers(1, 9), st.integers(2, 9)),
    ratio=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_random_masks_hide_exactly_the_rounded_share(grid, ratio, seed):
    patches = grid[0] * grid[1]
    wanted = min(max(1, round(ratio * patches)), patches - 1)
    masks = RandomMasks(grid=grid, ratio=ratio)(4, np.random.default_rng(seed))
    assert masks.shape == (4, *grid)
    assert (masks.sum(axis=(1, 2)) == wanted).all()
    assert num_patches_to_mask(grid, ratio) == wanted


def test_random_masks_hide_every_patch_equally_often():
    masks = RandomMasks(grid=(5, 5), ratio=0.6)(4000, np.random.default_rng(0))
    assert np.abs(masks.mean(axis=0) - 0.6).max() < 0.035
    # Two given patches: without replacement.
    both = (masks[:, 0, 0] & masks[:, 3, 2]).mean()
    assert both == pytest.approx(0.6 * 14 / 24, abs=0.035)


@pytest.mark.parametrize("kind", [RandomMasks, BlockMasks])
def test_the_generator_alone_decides_the_masks(kind):
    sample = kind(grid=(6, 6), ratio=0.5)
    first = sample(8, np.random.default_rng(5))
    assert (first == sample(8, np.random.default_rng(5))).all()
    assert (first != sample(8, np.random.default_rng(6))).any()
