import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.encoders.token_inputs import BOS, EOS, PAD, pad_rows
from d2v_core.masks.tokens import (
    BertMasks,
    SpanMasks,
    only_selected,
    token_mask_sampler,
)
from d2v_core.randomness import numpy_generator

BERT = BertMasks(probability=0.15, mask_share=0.8, random_share=0.1, vocab_size=500)
SPANS = SpanMasks(probability=0.35, span=4)


def rows_of(lengths, seed=0, inner=True):
    """``<s> ... </s>`` with that many tokens, and now and then a ``</s>`` inside."""
    generator = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        ids = generator.integers(5, 500, length)
        if inner and length > 6:
            ids[length // 2] = EOS
        rows.append(np.array([BOS, *ids, EOS]))
    return pad_rows(rows)


lengths = st.lists(st.integers(1, 60), min_size=1, max_size=6)
kinds = st.sampled_from([BERT, SPANS, SpanMasks(probability=0.9, span=7)])


@given(lengths, kinds, st.integers(0, 1000))
def test_every_row_is_masked_and_never_at_special_tokens_or_padding(
    lengths, kind, seed
):
    rows = rows_of(lengths, seed)
    drawn = kind(rows.fixed, np.random.default_rng(seed))
    assert drawn.mask.any(axis=1).all()
    assert not (drawn.selected & rows.fixed).any()
    assert (drawn.selected | ~drawn.mask).all()
    if drawn.random is not None:
        swapped = drawn.random >= 0
        assert not (swapped & drawn.mask).any()
        assert (drawn.selected | ~swapped).all()
        assert (drawn.random[swapped] >= 5).all()
        assert (drawn.random[swapped] < 500).all()


@given(lengths, kinds, st.integers(0, 1000))
def test_a_mask_is_a_function_of_the_generator(lengths, kind, seed):
    fixed = rows_of(lengths).fixed
    a, b = (kind(fixed, np.random.default_rng(seed)) for _ in range(2))
    assert (a.mask == b.mask).all()
    assert (a.selected == b.selected).all()


def test_spans_mask_the_papers_share_of_512_tokens():
    rows = rows_of([510] * 400, inner=False)
    mask = SPANS(rows.fixed, np.random.default_rng(0)).mask
    assert mask[:, 1:-1].mean() == pytest.approx(0.307, abs=0.003)


def test_berts_shares_are_those_asked_for():
    rows = rows_of([400] * 300, inner=False)
    drawn = BERT(rows.fixed, np.random.default_rng(0))
    selected = drawn.selected[:, 1:-1]
    assert selected.mean() == pytest.approx(0.15, abs=1e-3)
    assert set(selected.sum(axis=1)) == {60}
    shares = [drawn.mask.sum(), (drawn.random >= 0).sum()] / drawn.selected.sum()
    assert shares == pytest.approx([0.8, 0.1], abs=0.01)
    ids = drawn.random[drawn.random >= 0]
    assert ids.min() < 20
    assert ids.max() > 485


def test_spans_are_whole_but_for_the_ends():
    rows = rows_of([200] * 50, inner=False)
    mask = SPANS(rows.fixed, np.random.default_rng(0)).mask[:, 1:-1]
    assert mask.any(axis=1).all()
    for row in mask:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
        starts, ends = edges[::2], edges[1::2]
        long = (ends - starts >= 4) | (ends == 200)
        assert long.all()


def drawn(kind, step=1):
    rows = rows_of([20, 11, 7])
    return rows, token_mask_sampler(kind)(rows, numpy_generator(0, "mask", step))


def test_a_sampler_gives_the_mask_of_the_generator():
    masks = [drawn(SPANS, step)[1].mask for step in (1, 2)]
    assert not torch.equal(*masks)
    assert torch.equal(masks[0], drawn(SPANS, 1)[1].mask)


def test_random_tokens_are_read_at_selected_positions_without_the_mask():
    rows, masked = drawn(BertMasks(0.9, 0.3, 0.6, 500))
    changed = masked.read.values != rows.values
    assert changed.any()
    assert not (changed & masked.mask).any()
    assert not changed[torch.from_numpy(rows.fixed)].any()
    assert not (changed & ~masked.selected).any()
    _, spans = drawn(SPANS)
    assert spans.read is None


@pytest.mark.parametrize("kind", [SPANS, BertMasks(0.5, 0.4, 0.3, 500)])
def test_the_references_bug_shows_the_teacher_selected_tokens_and_padding(kind):
    rows, masked = drawn(kind)
    shown = only_selected(rows, masked)
    selected = kind(rows.fixed, numpy_generator(0, "mask", 1)).selected
    expected = np.where(selected, rows.values.numpy(), PAD)
    assert shown.values.tolist() == expected.tolist()
    assert shown.lengths == tuple(selected.sum(axis=1).tolist())
    assert (selected | ~masked.mask.numpy()).all()
