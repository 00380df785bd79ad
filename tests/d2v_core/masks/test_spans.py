"""fairseq's span masks, from their description (paper facts, section 2.6)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.masks.spans import span_masks

lengths_of_rows = st.lists(st.integers(2, 120), min_size=1, max_size=6)
probabilities = st.floats(0.01, 1.0)
spans = st.integers(1, 20)
seeds = st.integers(0, 2**32 - 1)


def drawn(lengths, seed=0, *, probability=0.65, span=10, whole=True, same=True):
    return span_masks(
        lengths,
        np.random.default_rng(seed),
        probability=probability,
        span=span,
        whole_spans=whole,
        same_count=same,
    )


def fairseq_mask(length, generator, *, probability, span, whole_spans):
    """One row at a time, a plain list of positions."""
    count = int(probability * length / span + generator.random())
    last = length - span if whole_spans else length
    starts = generator.permutation(last)[:count]
    covered = {int(s) + i for s in starts for i in range(span)}
    return sorted(position for position in covered if position < length)


def runs(row):
    """Lengths of the runs of masked positions."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize("length", [100, 250, 1000])
@pytest.mark.parametrize(
    ("probability", "span", "whole"), [(0.65, 10, True), (0.35, 4, False)]
)
def test_as_many_positions_are_masked_as_by_the_reference(
    length, probability, span, whole
):
    options = {"probability": probability, "span": span}
    generator = np.random.default_rng(1)
    theirs = np.array(
        [
            len(fairseq_mask(length, generator, whole_spans=whole, **options))
            for _ in range(1500)
        ]
    )
    ours = drawn([length] * 1500, whole=whole, same=False, **options).sum(axis=1)
    error = 4 * theirs.std() / np.sqrt(1500) * np.sqrt(2)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=error)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.15)


@pytest.mark.parametrize("length", [100, 300, 1000])
def test_the_published_masks_cover_half_of_the_frames(length):
    share = drawn([length] * 800, same=False).mean()
    assert 0.485 <= share <= 0.505


def test_trimming_to_the_fewest_costs_coverage_on_short_inputs():
    shares = [drawn([99] * 8, seed).mean() for seed in range(300)]
    assert np.mean(shares) == pytest.approx(0.39, abs=0.015)  # paper facts 2.5


@given(lengths_of_rows, probabilities, spans, seeds, st.booleans(), st.booleans())
def test_every_row_has_a_masked_and_a_visible_position_and_no_masked_padding(
    lengths, probability, span, seed, whole, same
):
    mask = drawn(
        lengths, seed, probability=probability, span=span, whole=whole, same=same
    )
    assert mask.shape == (len(lengths), max(lengths))
    for row, length in zip(mask, lengths, strict=True):
        assert 1 <= row[:length].sum() <= length - 1
        assert not row[length:].any()
    if same:
        assert len(set(mask.sum(axis=1))) == 1


@given(lengths_of_rows, probabilities, spans, seeds)
def test_whole_spans_are_whole_and_spare_the_last_position(
    lengths, probability, span, seed
):
    mask = drawn(lengths, seed, probability=probability, span=span, same=False)
    for row, length in zip(mask, lengths, strict=True):
        assert min(runs(row[:length])) >= min(span, length - 1)
        assert not row[length - 1]


@given(lengths_of_rows, probabilities, spans, seeds)
def test_the_count_is_bounded_by_spans_that_do_not_overlap(
    lengths, probability, span, seed
):
    mask = drawn(lengths, seed, probability=probability, span=span, same=False)
    for row, length in zip(mask, lengths, strict=True):
        width = min(span, length - 1)
        most = max(1, int(probability * length / width + 1))
        assert width <= row.sum() <= most * width


@given(lengths_of_rows, seeds)
def test_trimming_only_unmasks(lengths, seed):
    free = drawn(lengths, seed, same=False)
    trimmed = drawn(lengths, seed, same=True)
    assert not (trimmed & ~free).any()
    assert (trimmed.sum(axis=1) == free.sum(axis=1).min()).all()


def test_a_mask_is_a_function_of_its_generator():
    assert (drawn([50, 80], 5) == drawn([50, 80], 5)).all()
    assert (drawn([50, 80], 5) != drawn([50, 80], 6)).any()
