"""Inverse block masks, against the reference's procedure one row at a time."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2v_core.errors import ConfigError
from d2v_core.masks.inverse_block import (
    BlockRule,
    InverseBlockMasks,
    InverseBlockTokens,
    inverse_block_rows,
)
from tests.d2v_core.small import small_trial
from tests.d2v_core.small_speech import small_speech_trial
from tests.d2v_core.small_text import small_text_trial

VIT_B = BlockRule(ratio=0.8, block=3, adjust=0.07)
SPEECH = BlockRule(ratio=0.5, block=5, adjust=0.05)


def by_hand(sides, ratio, block, adjust, rng):
    """What fairseq's ``compute_block_mask`` does to one row, with sets of places."""
    size = int(np.prod(sides))
    kept = set()
    for _ in range(int(size * (1 - ratio + adjust) / block ** len(sides))):
        centre = [rng.randrange(side) for side in sides]
        for shift in np.ndindex(*[block] * len(sides)):
            place = [c + s - block // 2 for c, s in zip(centre, shift, strict=True)]
            kept.add(
                tuple(
                    min(max(p, 0), side - 1)
                    for p, side in zip(place, sides, strict=True)
                )
            )
    wanted = int(size * (1 - ratio))
    everywhere = list(np.ndindex(*sides))
    if len(kept) > wanted:
        kept -= set(rng.sample(sorted(kept), len(kept) - wanted))
    if len(kept) < wanted:
        left = sorted(set(everywhere) - kept)
        kept |= set(rng.sample(left, wanted - len(kept)))
    mask = np.ones(sides, dtype=bool)
    for place in kept:
        mask[place] = False
    return mask


def statistics(masks):
    """Where is kept how often, and how often neighbours are kept together."""
    kept = ~masks
    together = [(kept[:, :-1] & kept[:, 1:]).mean()]
    if masks.ndim == 3:
        together.append((kept[:, :, :-1] & kept[:, :, 1:]).mean())
    return kept.mean(axis=0), together


@pytest.mark.parametrize(
    ("sides", "rule"),
    [
        ((14, 14), VIT_B),
        ((14, 14), BlockRule(ratio=0.75, block=2, adjust=0.0)),
        ((4, 6), BlockRule(ratio=0.8, block=1, adjust=0.07)),
        ((60,), SPEECH),
        ((48,), BlockRule(ratio=0.42, block=1, adjust=0.0)),
    ],
)
def test_they_are_distributed_as_the_references(sides, rule):
    rng, generator = random.Random(0), np.random.default_rng(0)
    theirs = np.stack(
        [by_hand(sides, rule.ratio, rule.block, rule.adjust, rng) for _ in range(3000)]
    )
    if len(sides) == 2:
        ours = InverseBlockMasks(grid=sides, rule=rule)(3000, generator)
    else:
        ours = inverse_block_rows(sides * 3000, generator, rule)
    assert len({int(mask.sum()) for mask in (*ours, *theirs)}) == 1
    (share, pairs), (their_share, their_pairs) = map(statistics, (ours, theirs))
    assert np.abs(share - their_share).max() < 0.045
    assert pairs == pytest.approx(their_pairs, abs=0.006)


def test_published_counts():
    vision = InverseBlockMasks(grid=(14, 14), rule=VIT_B)
    assert (~vision(2, np.random.default_rng(0))).sum(axis=(1, 2)).tolist() == [39, 39]
    speech = inverse_block_rows([1000], np.random.default_rng(0), SPEECH)
    assert int(speech.sum()) == 500
    fifty = BlockRule(ratio=0.8, block=1, adjust=0.0)  # 50 (1 - 0.8) is 9.999...
    drawn = inverse_block_rows([50], np.random.default_rng(0), fifty)
    assert int((~drawn).sum()) == 10


def test_larger_blocks_keep_more_neighbours():
    pairs = []
    for block in (1, 2, 3, 4):
        rule = BlockRule(ratio=0.8, block=block, adjust=0.07)
        masks = InverseBlockMasks(grid=(14, 14), rule=rule)(
            500, np.random.default_rng()
        )
        pairs.append(statistics(masks)[1][0])
    assert pairs == sorted(pairs)


def test_hidden_blocks_are_the_opposite():
    kept = BlockRule(ratio=0.3, block=5, adjust=0.05, hides=True)
    mask = inverse_block_rows([60] * 500, np.random.default_rng(0), kept)
    assert set(mask.sum(axis=1).tolist()) == {18}
    other = BlockRule(ratio=0.7, block=5, adjust=0.05)
    opposite = inverse_block_rows([60] * 500, np.random.default_rng(0), other)
    assert np.array_equal(mask, ~opposite)


lengths_of_rows = st.lists(st.integers(2, 40), min_size=1, max_size=5)


@settings(max_examples=60)
@given(
    lengths=lengths_of_rows,
    ratio=st.floats(0.01, 0.99),
    block=st.integers(1, 8),
    adjust=st.floats(-1.0, 1.0),
    hides=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_have_their_exact_count_and_nothing_beyond_their_end(
    lengths, ratio, block, adjust, hides, seed
):
    rule = BlockRule(ratio=ratio, block=block, adjust=adjust, hides=hides)
    mask = inverse_block_rows(lengths, np.random.default_rng(seed), rule)
    for row, length in zip(mask, lengths, strict=True):
        in_blocks = int((row if hides else ~row)[:length].sum())
        share = ratio if hides else 1.0 - ratio
        wanted = min(max(int(length * share + 1e-9), 1), max(length - 1, 1))
        assert in_blocks == wanted
        assert 0 < row[:length].sum() < length
        assert not row[length:].any()


@given(
    rows=st.integers(1, 8),
    columns=st.integers(2, 8),
    ratio=st.floats(0.01, 0.99),
    block=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_images_have_one_count_whatever_the_grid(rows, columns, ratio, block, seed):
    rule = BlockRule(ratio=ratio, block=block, adjust=0.07)
    sampler = InverseBlockMasks(grid=(rows, columns), rule=rule)
    masks = sampler(4, np.random.default_rng(seed))
    assert masks.shape == (4, rows, columns)
    assert set((~masks).sum(axis=(1, 2)).tolist()) == {sampler.num_chosen}
    assert 0 < sampler.num_chosen < rows * columns


@given(seed=st.integers(0, 2**32 - 1), ratio=st.floats(0.05, 0.95))
def test_special_tokens_are_passed_over(seed, ratio):
    generator = np.random.default_rng(seed)
    fixed = generator.random((6, 20)) < 0.3
    fixed[0] = True
    fixed[0, 4] = False  # a single free token
    fixed[1, :] = False
    rule = BlockRule(ratio=ratio, block=2, adjust=0.0)
    drawn = InverseBlockTokens(rule)(fixed, generator)
    assert not (drawn.mask & fixed).any()
    assert drawn.random is None
    assert np.array_equal(drawn.selected, drawn.mask)
    assert drawn.mask[0].nonzero()[0].tolist() == [4]
    kept = (~fixed & ~drawn.mask).sum(axis=1)[1:]
    free = (~fixed).sum(axis=1)[1:]
    wanted = np.clip((free * (1.0 - ratio) + 1e-9).astype(int), 1, free - 1)
    assert kept.tolist() == wanted.tolist()


def test_a_block_that_spans_a_special_token_goes_on_behind_it():
    fixed = np.zeros((2000, 9), dtype=bool)
    fixed[:, 4] = True
    rule = BlockRule(ratio=0.7, block=2, adjust=0.0)
    mask = InverseBlockTokens(rule)(fixed, np.random.default_rng(0)).mask
    kept = ~mask & ~fixed
    assert (kept[:, 3] & kept[:, 5]).mean() == pytest.approx(
        (kept[:, 2] & kept[:, 3]).mean(), abs=0.03
    )


@pytest.mark.parametrize(
    ("make", "block", "most"),
    [
        (small_trial, 3, 2),
        (small_text_trial, 60, 11),
        (small_speech_trial, 500, 19),
    ],
)
def test_a_block_that_is_never_drawn_is_refused(make, block, most):
    """Else two sizes of block would be one mask, as a study of four once found."""
    mask = {"kind": "inverse_block", "ratio": 0.6, "adjust": 0.1}
    assert make({"mask": {**mask, "block": most}}).mask.block == most
    with pytest.raises(ConfigError) as caught:
        make({"mask": {**mask, "block": block}})
    message = str(caught.value)
    assert message.startswith(f"mask.block: must be at most {most}, or no block is")
    assert message.endswith(f"got {block}")
