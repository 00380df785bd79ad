import numpy as np
import pytest

from d2v_core.evaluation.rank import RANK_SAMPLES, rank_indices, rankme


def test_equal_directions_count_one_each():
    features = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 6)))[0]
    assert rankme(features) == pytest.approx(6.0, rel=1e-4)
    assert rankme(1e3 * features[:, :2] @ np.ones((2, 6))) == pytest.approx(1, abs=1e-4)


def test_it_is_the_exponential_of_the_entropy_of_the_spectrum():
    features = np.diag([4.0, 3.0, 2.0, 1.0])
    shares = np.array([0.4, 0.3, 0.2, 0.1]) + 1e-7
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert rankme(features) == pytest.approx(expected, rel=1e-9)


def test_it_depends_on_no_scale_and_knows_no_features_at_all():
    features = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    assert rankme(features) == pytest.approx(rankme(100 * features), rel=1e-5)
    assert np.isfinite(rankme(np.zeros((30, 5))))


def test_the_samples_are_spread_over_all():
    assert rank_indices(5).tolist() == [0, 1, 2, 3, 4]
    indices = rank_indices(10 * RANK_SAMPLES)
    assert len(indices) == RANK_SAMPLES
    assert (indices[0], indices[-1]) == (0, 10 * RANK_SAMPLES - 1)
