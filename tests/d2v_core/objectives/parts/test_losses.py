import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.objectives.parts.losses import (
    l1_loss,
    l2_loss,
    scale_factor,
    scaled_loss,
    smooth_l1_loss,
)


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    return generator.normal(size=(7, 5)) * 3, generator.normal(size=(7, 5))


def smooth_l1_oracle(error, beta):
    error = np.abs(error)
    return np.where(error <= beta, error**2 / (2 * beta), error - beta / 2).mean()


def test_l2_is_the_mean_squared_error(pair):
    a, b = pair
    ours = l2_loss(torch.from_numpy(a), torch.from_numpy(b).float())
    assert float(ours) == pytest.approx(((a - b) ** 2).mean(), rel=1e-6)


def test_l1_is_the_mean_absolute_error(pair):
    a, b = pair
    ours = l1_loss(torch.from_numpy(a), torch.from_numpy(b).float())
    assert float(ours) == pytest.approx(np.abs(a - b).mean(), rel=1e-6)


@pytest.mark.parametrize("beta", [0.25, 1.0, 2.0, 4.0])
def test_smooth_l1_agrees_with_its_formula(pair, beta):
    a, b = pair
    ours = smooth_l1_loss(torch.from_numpy(a), torch.from_numpy(b).float(), beta=beta)
    assert float(ours) == pytest.approx(smooth_l1_oracle(a - b, beta), rel=1e-6)


@given(error=st.floats(-20, 20), beta=st.floats(0.1, 5))
def test_smooth_l1_of_one_element_lies_between_zero_and_l1(error, beta):
    target = torch.zeros(1, 1)
    prediction = torch.full((1, 1), error)
    ours = float(smooth_l1_loss(prediction, target, beta=beta))
    assert ours == pytest.approx(float(smooth_l1_oracle(error, beta)), abs=1e-5)
    assert 0.0 <= ours <= abs(error) + 1e-5


def test_scales_are_the_references_sums_over_channels(pair):
    a, b = pair
    tensors = torch.from_numpy(a), torch.from_numpy(b).float()
    squared = (a - b) ** 2
    speech = (squared.sum(axis=1) / np.sqrt(5)).mean()
    text = squared.sum(axis=1).mean()
    for scale, expected in (
        ("inverse_sqrt_dim", speech),
        ("sum", text),
        (1.0, squared.mean()),
        (0.25, squared.mean() / 4),
    ):
        ours = scaled_loss(l2_loss, scale_factor(scale, 5))(*tensors)
        assert float(ours) == pytest.approx(expected, rel=1e-6)


def test_a_scale_of_one_is_the_loss_itself():
    assert scaled_loss(l1_loss, scale_factor(1.0, 7)) is l1_loss


def test_a_half_precision_prediction_is_compared_in_float32():
    prediction = torch.full((2, 2), 300.0, dtype=torch.float16)
    assert float(l2_loss(prediction, torch.zeros(2, 2))) == 90_000.0
