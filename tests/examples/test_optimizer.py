"""examples/lion.py: an optimiser of one's own."""

import math

import pytest
import torch
from torch import nn

from d2v_core.build import check_buildable
from d2v_core.errors import ConfigError
from d2v_core.training.optimizer import build_optimizer
from d2v_core.training.own import own_optimizer
from tests.examples.places import small_vision, trained

LION = {
    "optimizer.algorithm": "lion.py:Lion",
    "optimizer.settings.beta2": 0.5,
    "optimizer.weight_decay": 0.1,
    "optimizer.learning_rate": 1e-3,
}


def test_an_update_is_lions() -> None:
    trial = small_vision(LION)
    module = nn.Linear(3, 2)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    optimizer = build_optimizer(module, trial.optimizer, own_optimizer(trial))
    momentum = {name: torch.zeros_like(p) for name, p in before.items()}
    for gradient in (1.0, -0.5):
        for p in module.parameters():
            p.grad = torch.full_like(p, gradient)
        optimizer.step()
        for name, weight in before.items():
            decay = 0.1 if name == "weight" else 0.0
            sign = (0.9 * momentum[name] + 0.1 * gradient).sign()
            before[name] = weight * (1 - 1e-3 * decay) - 1e-3 * sign
            momentum[name] = 0.5 * momentum[name] + 0.5 * gradient
    for name, p in module.named_parameters():
        torch.testing.assert_close(p.detach(), before[name])


def test_it_trains() -> None:
    losses, _ = trained(small_vision(LION))
    assert all(map(math.isfinite, losses))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(groups, learning_rate): return 3", "gave a int"),
        (
            "import torch\ndef f(groups, learning_rate):\n"
            "    return torch.optim.SGD(groups[:1], lr=learning_rate)",
            "has 1 of 2 parameters",
        ),
        (
            "import torch\ndef f(groups, learning_rate):\n"
            "    return torch.optim.SGD(groups, lr=0.0)",
            "changed no parameter",
        ),
    ],
)
def test_what_is_no_optimiser_is_refused(source, message, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(source)
    trial = small_vision({"optimizer.algorithm": "mine.py:f"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_buildable(trial)
    wanted = "optimizer.algorithm: must be an optimiser, f(groups, learning_rate) -> "
    assert str(caught.value).startswith(wanted)
    assert message in str(caught.value)


def test_settings_are_for_ones_own() -> None:
    with pytest.raises(ConfigError, match="must be empty for adamw, got"):
        small_vision({"optimizer.settings": {"beta2": 0.5}})
