import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2v_core.data.splits import balanced_subset, hold_out
from d2v_core.errors import DataError

class_counts = st.lists(st.integers(2, 20), min_size=1, max_size=5)


@settings(max_examples=50, deadline=None)
@given(counts=class_counts, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_holding_out_splits_every_class_by_its_share(counts, fraction, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(seed).shuffle(labels)
    kept, held = hold_out(labels, fraction)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held) > 0).all()
    for label, count in enumerate(counts):
        wanted = min(max(1, round(fraction * count)), count - 1)
        assert (labels[held] == label).sum() == wanted


def test_holding_out_depends_on_the_labels_alone():
    labels = np.arange(40) % 4
    first = hold_out(labels, 0.3)
    np.random.default_rng().random()
    assert all(
        (a == b).all() for a, b in zip(first, hold_out(labels, 0.3), strict=True)
    )


def test_a_class_with_one_sample_is_refused():
    with pytest.raises(DataError, match="at least 2 samples to hold some out, class 1"):
        hold_out(np.array([0, 0, 1]), 0.5)


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_balanced_subset_differs_by_at_most_one_between_classes(size, seed):
    labels = np.arange(60) % 4
    chosen = balanced_subset(labels, size, np.random.default_rng(seed))
    assert len(chosen) == len(set(chosen.tolist())) == size
    counts = np.bincount(labels[chosen], minlength=4)
    assert counts.max() - counts.min() <= 1


def test_a_rare_class_gives_all_it_has():
    labels = np.array([0] * 10 + [1] * 2)
    chosen = balanced_subset(labels, 8, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [4, 2]
