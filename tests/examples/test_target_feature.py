"""examples/branches.py: what becomes a target, of one's own."""

import math

import pytest
import torch

from d2v_core.build import build_objective, check_buildable
from d2v_core.costs import estimate_cost
from d2v_core.errors import ConfigError
from tests.examples.places import small_vision, trained

FEATURE = {"target.feature": "branches.py:branches"}
PLAIN = {"target.layer_norm": "none", "target.final_norm": "none", "target.top_k": 1}


def targets(feature: str) -> torch.Tensor:
    objective = build_objective(
        small_vision({**PLAIN, "target.feature": feature}), num_classes=0
    )
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    objective.teacher.network.eval()
    return objective.targets(objective.student.embed(images))


def test_the_target_is_the_sum_of_both_branches() -> None:
    both = targets(FEATURE["target.feature"])
    torch.testing.assert_close(both, targets("attention") + targets("ffn"))


def test_it_trains_and_costs_what_ours_do() -> None:
    losses, _ = trained(small_vision(FEATURE))
    assert all(map(math.isfinite, losses))
    assert estimate_cost(small_vision(FEATURE)) == estimate_cost(small_vision({}))


def test_another_shape_is_refused(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(
        "def f(activations): return activations['ffn'][0]"
    )
    with pytest.raises(ConfigError) as caught:
        check_buildable(small_vision({"target.feature": "mine.py:f"}, tmp_path))
    assert "target.feature: must be a target feature, f(activations)" in str(
        caught.value
    )
    assert "gave (5, 16) for features (2, 5, 16)" in str(caught.value)
