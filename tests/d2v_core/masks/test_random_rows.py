"""Random masks of rows, against draws without replacement, and the shared family."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.masks.inverse_block import BlockRule, inverse_block_rows
from d2v_core.masks.patches import num_patches_to_mask
from d2v_core.masks.random_rows import RandomTokens, random_rows
from d2v_core.masks.tokens import free_tokens_mask

seeds = st.integers(0, 2**32 - 1)
ratios = st.floats(0.01, 0.99)


@given(st.lists(st.integers(2, 60), min_size=1, max_size=6), ratios, seeds)
def test_rows_have_their_exact_count_and_nothing_beyond_their_end(lengths, ratio, seed):
    mask = random_rows(lengths, np.random.default_rng(seed), ratio=ratio)
    assert mask.shape == (len(lengths), max(lengths))
    for row, length in zip(mask, lengths, strict=True):
        assert int(row.sum()) == min(max(1, round(ratio * length)), length - 1)
        assert not row[length:].any()


@given(st.integers(2, 60), ratios)
def test_a_share_of_a_row_is_as_many_positions_as_of_an_image(length, ratio):
    mask = random_rows([length], np.random.default_rng(0), ratio=ratio)
    assert int(mask.sum()) == num_patches_to_mask((1, length), ratio)


def test_positions_and_pairs_are_drawn_without_replacement():
    length, count, num_rows = 12, 5, 20_000
    mask = random_rows([length] * num_rows, np.random.default_rng(0), ratio=count / 12)
    error = 4 * np.sqrt(0.25 / num_rows)
    assert np.abs(mask.mean(axis=0) - count / length).max() < error
    together = (mask.T.astype(float) @ mask) / num_rows
    pairs = together[~np.eye(length, dtype=bool)]
    expected = count * (count - 1) / (length * (length - 1))
    assert np.abs(pairs - expected).max() < error


def test_inverse_blocks_of_one_are_random_ones():
    """Half of 40 positions either way: the same neighbours are hidden together."""
    generator, lengths = np.random.default_rng(1), [40] * 20_000
    rule = BlockRule(ratio=0.5, block=1, adjust=0.0)
    blocks = inverse_block_rows(lengths, generator, rule)
    singles = random_rows(lengths, generator, ratio=0.5)
    shares = [(mask[:, 1:] & mask[:, :-1]).mean() for mask in (blocks, singles)]
    assert {int(n) for mask in (blocks, singles) for n in mask.sum(axis=1)} == {20}
    assert shares == pytest.approx([20 * 19 / (40 * 39)] * 2, abs=0.003)


@given(seeds, ratios)
def test_special_tokens_are_passed_over(seed, ratio):
    generator = np.random.default_rng(seed)
    fixed = generator.random((6, 20)) < 0.3
    fixed[0] = True
    fixed[0, 4] = False  # a single free token
    fixed[1:, :2] = False
    drawn = RandomTokens(ratio)(fixed, generator)
    assert not (drawn.mask & fixed).any()
    assert drawn.random is None
    assert np.array_equal(drawn.selected, drawn.mask)
    assert drawn.mask[0].nonzero()[0].tolist() == [4]
    for free, hidden in zip((~fixed).sum(axis=1)[1:], drawn.mask[1:], strict=True):
        assert int(hidden.sum()) == min(max(1, round(ratio * free)), free - 1)


def test_what_is_drawn_for_free_tokens_lands_on_them_in_order():
    fixed = np.array(
        [[True, False, True, False, False], [False, True, True, True, True]]
    )
    given = []

    def draw(counts):
        given.append(counts)
        return np.array([[True, False, True], [False, False, False]])

    drawn = free_tokens_mask(fixed, draw)
    assert given == [[3, 2]]
    assert drawn.mask.tolist() == [
        [False, True, False, False, True],
        [True, False, False, False, False],
    ]
