import math

import pytest
import torch
from torch import nn

from d2v_core.build import build_objective
from d2v_core.objectives.parts.heads import regression_head
from d2v_core.randomness import global_torch_seed
from tests.d2v_core.encoders.test_initialisation import CUT, assert_cut_normal
from tests.d2v_core.small import small_trial
from tests.d2v_core.small_speech import small_speech_trial
from tests.d2v_core.small_text import small_text_trial

DIM = 200
ERROR = 5 / math.sqrt(2 * DIM * DIM)
"""Five relative standard errors of the standard deviation of a normal."""


@pytest.mark.parametrize(
    ("depth", "widths"),
    [(1, [(6, 6)]), (2, [(6, 12), (12, 6)]), (3, [(6, 12), (12, 12), (12, 6)])],
)
def test_hidden_layers_are_twice_as_wide(depth, widths):
    head = regression_head(6, depth, "beit")
    linears = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [(x.in_features, x.out_features) for x in linears] == widths
    assert sum(isinstance(layer, nn.GELU) for layer in head) == depth - 1
    assert isinstance(head[-1], nn.Linear)


def drawn(init):
    with global_torch_seed(1, "head"):
        (linear,) = regression_head(DIM, 1, init)
    return linear.weight.detach(), linear.bias.detach()


def test_beits_weights_are_cut_at_one_standard_deviation():
    weight, bias = drawn("beit")
    assert_cut_normal(weight, CUT)
    assert not bias.any()


@pytest.mark.parametrize("init", ["bert", "timm"])
def test_berts_and_timms_weights_are_normal_and_not_cut(init):
    weight, bias = drawn(init)
    assert float(weight.std()) == pytest.approx(0.02, rel=ERROR)
    share = float((weight.abs() > CUT).double().mean())
    outside = 1 - math.erf(1 / math.sqrt(2))  # 0.317 of a normal
    assert share == pytest.approx(outside, abs=0.02)
    assert not bias.any()


def test_pytorchs_weights_and_biases_are_uniform():
    weight, bias = drawn("pytorch")
    bound = 1 / math.sqrt(DIM)
    for values in (weight, bias):
        assert float(values.abs().max()) <= bound
        assert float(values.abs().max()) > 0.95 * bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=ERROR)


@pytest.mark.parametrize("init", ["beit", "bert", "timm"])
def test_every_layer_of_a_deep_head_is_drawn(init):
    with global_torch_seed(0, "head"):  # a normal's deviation differs by chance
        head = regression_head(DIM, 3, init)
    for layer in head[::2]:
        assert float(layer.weight.detach().std()) < 0.0205  # PyTorch's: 0.029 and 0.041
        assert not layer.bias.any()


def test_the_speech_head_is_pytorchs_bit_by_bit():
    """fairseq's ``final_proj``: ``nn.Linear`` and nothing more."""
    trial = small_speech_trial()
    head = build_objective(trial, num_classes=0).module["head"]
    with global_torch_seed(trial.seed, "head"):
        expected = nn.Linear(16, 16)
    assert torch.equal(head[0].weight, expected.weight)
    assert torch.equal(head[0].bias, expected.bias)


def widened(trial, section):
    data = trial.model_dump(mode="json")
    data[section]["width"] = DIM
    return type(trial).model_validate(data)


def test_the_text_head_is_berts():
    trial = widened(small_text_trial(), "text")
    head = build_objective(trial, num_classes=0).module["head"]
    for layer in (head[0], head[2]):
        weight = layer.weight.detach()
        assert float(weight.std()) == pytest.approx(0.02, rel=ERROR)
        assert float(weight.abs().max()) > 3 * CUT
        assert not layer.bias.any()


def test_the_vision_head_is_cut():
    trial = widened(small_trial(), "vision")
    (linear,) = build_objective(trial, num_classes=0).module["head"]
    assert_cut_normal(linear.weight.detach(), CUT)
    assert not linear.bias.any()


@pytest.mark.parametrize(
    "trial",
    [small_trial, small_speech_trial, small_text_trial],
    ids=["vision", "speech", "text"],
)
def test_timms_head_is_the_same_in_every_modality(trial):
    chosen = trial({"head": {"init": "timm", "depth": 1}})
    head = build_objective(chosen, num_classes=3).module["head"]
    with global_torch_seed(chosen.seed, "head"):
        expected = nn.init.trunc_normal_(nn.Linear(16, 16).weight, std=0.02)
    assert torch.equal(head[0].weight, expected)
    assert not head[0].bias.any()
