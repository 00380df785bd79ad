import math

import pytest
import torch
from torch import nn

from d2v_core.config.training import OptimizerConfig
from d2v_core.training.optimizer import build_learning_rate, build_optimizer
from tests.d2v_core.small import small_trial


def test_weight_decay_is_for_matrices_only():
    class Everything(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)
            self.norm = nn.LayerNorm(2)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, 2))
            self.reg_token = nn.Parameter(torch.zeros(1, 4, 2))
            self.dist_token = nn.Parameter(torch.zeros(1, 1, 2))
            self.mask_token = nn.Parameter(torch.zeros(2))
            self.pos_embed = nn.Parameter(torch.zeros(1, 5, 2))
            self.relative_position_bias_table = nn.Parameter(torch.zeros(9, 2))
            self.gamma = nn.Parameter(torch.ones(2))
            self.fixed = nn.Parameter(torch.zeros(3, 3), requires_grad=False)

    module = Everything()
    names = {id(p): name for name, p in module.named_parameters()}
    optimizer = build_optimizer(module, OptimizerConfig(weight_decay=0.3))
    groups = {g["weight_decay"]: g["params"] for g in optimizer.param_groups}
    assert {names[id(p)] for p in groups[0.3]} == {"linear.weight"}
    assert {names[id(p)] for p in groups[0.0]} == {
        "linear.bias",
        "norm.weight",
        "norm.bias",
        "cls_token",
        "reg_token",
        "dist_token",
        "mask_token",
        "pos_embed",
        "relative_position_bias_table",
        "gamma",
    }


def test_without_weight_decay_every_parameter_is_still_optimised():
    module = nn.Linear(2, 2)
    optimizer = build_optimizer(module, OptimizerConfig(weight_decay=0.0))
    assert sum(len(g["params"]) for g in optimizer.param_groups) == 2


def test_the_optimiser_is_adamw_by_formula():
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 2.0)
    config = OptimizerConfig(
        learning_rate=0.1, weight_decay=0.5, beta1=0.8, beta2=0.9, epsilon=1e-3
    )
    optimizer = build_optimizer(module, config)
    weight, m, v = 2.0, 0.0, 0.0
    for t, gradient in enumerate([0.3, -1.2, 0.7], start=1):
        module.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
        weight *= 1 - 0.1 * 0.5
        m, v = 0.8 * m + 0.2 * gradient, 0.9 * v + 0.1 * gradient**2
        corrected = m / (1 - 0.8**t), v / (1 - 0.9**t)
        weight -= 0.1 * corrected[0] / (math.sqrt(corrected[1]) + 1e-3)
        assert float(module.weight.detach()) == pytest.approx(weight, rel=1e-5)


def test_tri_stage_holds_for_a_share_of_the_run():
    settings = {
        "learning_rate": 1.0,
        "warmup": 0.05,
        "decay": "tri_stage",
        "hold": 0.8,
        "final_learning_rate": 0.01,
    }
    steps = {"training": {"num_steps": 40}}
    rate = build_learning_rate(
        small_trial({"optimizer": settings}, steps).optimizer, 40
    )
    assert [rate(1), rate(2), rate(34)] == pytest.approx([0.5, 1.0, 1.0])
    assert [rate(37), rate(40)] == pytest.approx([0.1, 0.01])


def test_the_learning_rate_follows_the_configured_schedule():
    config = small_trial(
        {"optimizer": {"learning_rate": 1.0, "warmup": 4, "final_learning_rate": 0.0}}
    ).optimizer
    rate = build_learning_rate(config, 12)
    assert rate(2) == pytest.approx(0.5)
    assert rate(4) == pytest.approx(1.0)
    assert rate(8) == pytest.approx(0.5)
    assert rate(12) == pytest.approx(0.0, abs=1e-12)
