import math

import numpy as np
import pytest
import torch

from d2v_core.health import Collapse, effective_rank, find_collapse, mean_std


def test_mean_std_is_fairseqs_measure():
    features = np.random.default_rng(0).normal(size=(40, 5)) * [1, 2, 3, 0.1, 0]
    expected = np.sqrt(features.var(axis=0, ddof=1) + 1e-6).mean()
    assert mean_std(torch.from_numpy(features)) == pytest.approx(expected, rel=1e-5)


def test_mean_std_of_constant_rows_is_the_root_of_epsilon():
    assert mean_std(torch.ones(10, 4)) == pytest.approx(1e-3)


def test_effective_rank_is_the_exponential_of_the_entropy_of_singular_values():
    features = np.random.default_rng(0).normal(size=(40, 5)) * [5, 2, 1, 0.1, 0.01]
    values = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)
    shares = values / values.sum()
    expected = math.exp(-(shares * np.log(shares)).sum())
    assert effective_rank(torch.from_numpy(features)) == pytest.approx(expected)


def test_effective_rank_is_one_on_a_line_and_full_when_all_directions_are_used():
    line = torch.arange(10.0)[:, None] * torch.tensor([[1.0, -2.0, 0.5]])
    assert effective_rank(line) == pytest.approx(1.0, abs=1e-5)
    cross = torch.cat([torch.eye(4), -torch.eye(4)])
    assert effective_rank(cross) == pytest.approx(4.0)
    assert effective_rank(torch.ones(6, 3)) == 0.0


def test_a_collapse_names_the_first_measure_below_its_threshold():
    thresholds = {"target/std": 0.1, "prediction/std": 0.01}
    measures = {"target/std": 0.05, "prediction/std": 0.001, "train/loss": 0.0}
    found = find_collapse(7, measures, thresholds)
    assert found == Collapse(7, "target/std", 0.05, 0.1)
    assert str(found) == "collapsed at step 7: target/std 0.05 is below 0.1"


def test_values_at_the_threshold_and_missing_measures_are_healthy():
    assert find_collapse(1, {"target/std": 0.1}, {"target/std": 0.1}) is None
    assert find_collapse(1, {"train/loss": 0.0}, {"target/std": 0.1}) is None
