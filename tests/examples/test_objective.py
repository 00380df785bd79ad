"""examples/barlow_twins.py: an objective of one's own."""

import math

import pytest
import torch

from ablations.identity import identity_settings
from ablations.study.arms import Request, expand_named
from d2v_core.build import build_objective, check_buildable
from d2v_core.costs import estimate_cost
from d2v_core.errors import ConfigError
from tests.examples.places import EXAMPLES, small_vision, trained

OWN = {"objective.kind": "own", "objective.function": "barlow_twins.py:BarlowTwins"}


def test_the_loss_is_barlow_twins() -> None:
    trial = small_vision({**OWN, "objective.settings.redundancy": 0.1})
    objective = build_objective(trial, num_classes=0)
    objective.network("student").eval()
    images = torch.randn(8, 1, 8, 8)
    draw = objective.draw(images, 1)
    assert not torch.equal(draw.first, draw.second)
    views = [
        objective.module["projector"](objective.encoder(images, mask).mean(1))
        for mask in (draw.first, draw.second)
    ]
    centred = [(v - v.mean(0)) / (v.var(0, correction=0) + 1e-5).sqrt() for v in views]
    correlation = centred[0].T @ centred[1] / 8
    weight = torch.full_like(correlation, 0.1).fill_diagonal_(1.0)
    expected = (weight * (correlation - torch.eye(16)).square()).sum()
    found = objective.loss(images, None, draw, 1).loss
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_it_trains_costs_something_and_its_settings_are_identity() -> None:
    trial = small_vision({**OWN, "objective.settings.redundancy": 0.1})
    losses, metrics = trained(trial)
    assert all(map(math.isfinite, losses))
    assert "eval/linear_accuracy" in metrics
    assert estimate_cost(trial) is not None
    settings = identity_settings(trial)["objective"]
    assert settings["function"].startswith("barlow_twins.py:BarlowTwins@")
    assert settings["settings"] == {"redundancy": 0.1}
    assert "mask" in identity_settings(trial)


def test_what_is_tried_changes_no_weight() -> None:
    own = build_objective(small_vision(OWN), num_classes=0).network("student")
    plain = build_objective(small_vision({}), num_classes=0).network("student")
    for one, other in zip(own.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_study_has_both_and_a_reference() -> None:
    expanded = expand_named(
        str(EXAMPLES / "objective.yaml"), Request("vision", "smoke", seeds=(0,))
    )
    labels = [arm.label for arm in expanded.arms]
    assert labels == ["data2vec", "Barlow Twins", "untrained"]
    for cell in expanded.cells:
        check_buildable(cell.trial)


BUILT = """
import torch
from d2v_core.objectives.protocol import SingleNetwork, StepResult
class F(SingleNetwork):
    def __init__(self, trial, encoder, modality, num_classes, workers):
        self.encoder = encoder
        self.module = torch.nn.ModuleDict({"encoder": encoder})
    def loss(self, inputs, labels, draw, step):
        tokens = self.encoder(inputs)
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def F(trial, encoder): return 3", "too many positional arguments"),
        ("def F(a, b, c, d, e): return 3", "gave a int, without after_update, draw,"),
        (f"{BUILT}        return tokens.mean()", "loss must give a StepResult"),
        (
            f"{BUILT}        return StepResult(tokens, dict)",
            "StepResult.__init__",
        ),
        (f"{BUILT}        return self.nothing", "has no attribute 'nothing' (line 10)"),
    ],
)
def test_what_is_no_objective_is_refused(source, message, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(source)
    trial = small_vision({**OWN, "objective.function": "mine.py:F"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_buildable(trial)
    assert "objective.function: must be an objective, F(trial, enc" in str(caught.value)
    assert message in str(caught.value)
