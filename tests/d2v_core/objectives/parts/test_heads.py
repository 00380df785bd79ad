import pytest
import torch
from torch import nn

from d2v_core.objectives.parts.heads import regression_head


@pytest.mark.parametrize(
    ("depth", "widths"),
    [(1, [(6, 6)]), (2, [(6, 12), (12, 6)]), (3, [(6, 12), (12, 12), (12, 6)])],
)
def test_hidden_layers_are_twice_as_wide(depth, widths):
    head = regression_head(6, depth)
    linears = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [(x.in_features, x.out_features) for x in linears] == widths
    assert sum(isinstance(layer, nn.GELU) for layer in head) == depth - 1
    assert isinstance(head[-1], nn.Linear)


def test_weights_start_small_and_biases_at_zero():
    (linear,) = regression_head(200, 1)
    assert float(linear.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert torch.equal(linear.bias, torch.zeros(200))
