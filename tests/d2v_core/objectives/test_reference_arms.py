"""The arms without a teacher: supervised and untrained."""

import math

import numpy as np
import pytest
import torch

from d2v_core.build import build_objective
from d2v_core.objectives.supervised import Supervised
from d2v_core.objectives.untrained import Untrained
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.updates import update


@pytest.fixture
def images():
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    return torch.tensor([0, 2, 1, 0])


def supervised(**settings):
    trial = small_trial({"objective": {"kind": "supervised", **settings}})
    objective = build_objective(trial, num_classes=3)
    assert isinstance(objective, Supervised)
    fill_with_noise(objective.module)
    objective.module.eval()
    return objective


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_supervised_is_cross_entropy_of_mean_pooled_tokens(images, labels, smoothing):
    objective = supervised(label_smoothing=smoothing)
    result = update(objective, images, labels, 1)
    pooled = objective.encoder(images).detach().double().numpy().mean(axis=1)
    linear = objective.module["classifier"]
    weight = linear.weight.detach().double().numpy()
    logits = pooled @ weight.T + linear.bias.detach().double().numpy()
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    target = np.full((4, 3), smoothing / 3)
    target[np.arange(4), labels.numpy()] += 1 - smoothing
    expected = -(target * log_p).sum(axis=1).mean()
    assert math.isclose(float(result.loss.detach()), expected, rel_tol=1e-4)
    accuracy = (logits.argmax(axis=1) == labels.numpy()).mean()
    assert result.measure() == {"train/accuracy": pytest.approx(accuracy)}


def test_reference_arms_have_one_network():
    for objective in (
        supervised(),
        build_objective(
            small_trial({"objective": {"kind": "untrained"}}), num_classes=3
        ),
    ):
        assert objective.network("teacher") is objective.network("student")
        assert objective.extra_state() == {}


def test_an_untrained_encoder_has_no_step(images, labels):
    trial = small_trial({"objective": {"kind": "untrained"}})
    objective = build_objective(trial, num_classes=3)
    assert isinstance(objective, Untrained)
    with pytest.raises(AssertionError, match="no training step"):
        update(objective, images, labels, 1)
