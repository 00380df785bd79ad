import math

import numpy as np
import pytest
import torch

from d2v_core.training.health import (
    Collapse,
    effective_rank,
    find_collapse,
    gain_over_constant,
    mean_std,
    spread,
)


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


def test_gain_is_one_minus_the_error_over_that_of_the_best_constant():
    generator = np.random.default_rng(0)
    target = generator.normal(size=(40, 5)) * [5, 2, 1, 0.1, 0] + [9, 0, -3, 0, 1]
    prediction = target + generator.normal(size=(40, 5)) * 0.5
    # Least squares on a column of ones is the best constant prediction.
    constant = np.linalg.lstsq(np.ones((40, 1)), target, rcond=None)[0]
    expected = 1 - ((prediction - target) ** 2).sum() / ((constant - target) ** 2).sum()
    ours = gain_over_constant(torch.from_numpy(prediction), torch.from_numpy(target))
    assert ours == pytest.approx(expected, rel=1e-4)


def test_gain_is_one_when_perfect_zero_for_the_mean_and_negative_when_worse():
    target = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)) + 2.0
    assert gain_over_constant(target, target) == 1.0
    mean = target.mean(dim=0).expand(30, 4)
    assert gain_over_constant(mean, target) == pytest.approx(0.0, abs=1e-6)
    assert gain_over_constant(-target, target) < 0.0
    assert gain_over_constant(target.bfloat16(), target) == pytest.approx(1.0, abs=1e-3)


def test_there_is_nothing_to_gain_where_targets_are_constant():
    assert gain_over_constant(torch.randn(6, 3), torch.full((6, 3), 0.1)) == 0.0


def test_a_collapse_names_the_first_measure_below_its_threshold():
    thresholds = {"target/std": 0.1, "prediction/std": 0.01}
    measures = {"target/std": 0.05, "prediction/std": 0.001, "train/loss": 0.0}
    found = find_collapse(7, measures, thresholds)
    assert found == Collapse(7, "target/std", 0.05, 0.1)
    assert str(found) == "collapsed at step 7: target/std 0.05 is below 0.1"


def test_values_at_the_threshold_and_missing_measures_are_healthy():
    assert find_collapse(1, {"target/std": 0.1}, {"target/std": 0.1}) is None
    assert find_collapse(1, {"train/loss": 0.0}, {"target/std": 0.1}) is None


def test_spread_has_no_floor():
    features = np.random.default_rng(4).normal(0.0, 1e-5, (40, 3))
    expected = features.std(axis=0, ddof=1).mean()
    assert float(spread(torch.from_numpy(features))) == pytest.approx(expected, 1e-4)
    assert float(spread(torch.ones(10, 4))) == 0.0
