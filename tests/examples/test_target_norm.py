"""examples/dyn_tanh.py: a target normalisation of one's own."""

import math

import pytest
import torch

from d2v_core.build import build_objective, check_buildable
from d2v_core.config.choices import Normalisation
from d2v_core.errors import ConfigError
from tests.examples.places import small_vision, trained

NORM = {"target.layer_norm": "dyn_tanh.py:dyn_tanh", "target.final_norm": "none"}


def test_the_targets_are_what_the_example_makes_of_them() -> None:
    trial = small_vision({**NORM, "target.top_k": 1})
    own = build_objective(trial, num_classes=0)
    plain = build_objective(
        small_vision(
            {
                "target.layer_norm": "none",
                "target.final_norm": "none",
                "target.top_k": 1,
            }
        ),
        num_classes=0,
    )
    images = torch.randn(2, 1, 8, 8)
    tokens = [o.student.embed(images) for o in (own, plain)]
    targets, raw = own.targets(tokens[0]), plain.targets(tokens[1])
    torch.testing.assert_close(targets, torch.tanh(0.5 * raw))


def test_it_trains_and_the_loss_is_finite() -> None:
    losses, metrics = trained(small_vision(NORM))
    assert len(losses) == 6
    assert all(map(math.isfinite, losses))
    assert "eval/linear_accuracy" in metrics


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(x): return x", "f: too many positional arguments"),
        ("def g(features, real): return features", "there is no function f in it"),
        ("def f(features, real): return features.mean(2)", "gave (2, 5)"),
        ("def f(features, real): return features / 0", "not finite"),
        ("def f(features, real): return features.nope", "(line 1)"),
        ("import nothing_like_it", "No module named 'nothing_like_it' (line 1)"),
        ("def f(:", "importing it gave SyntaxError"),
        ("raise SystemExit(3)", "importing it gave SystemExit: 3"),
    ],
)
def test_what_cannot_be_one_is_refused_before_anything_starts(
    source: str, message: str, tmp_path
) -> None:
    (tmp_path / "mine.py").write_text(source)
    trial = small_vision({"target.final_norm": "mine.py:f"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_buildable(trial)
    (problem,) = caught.value.problems
    assert problem.path == "target.final_norm"
    assert "must be a target normalisation, f(features, real) -> " in problem.message
    assert "docs/extending.md" in problem.message
    assert "mine.py:f: " in problem.message
    assert message in problem.message


def test_a_norm_of_ours_is_still_one_of_a_few(tmp_path) -> None:
    with pytest.raises(ConfigError) as caught:
        small_vision({"target.layer_norm": "laier"})
    (problem,) = caught.value.problems
    assert problem.path == "mine.yaml:3:5: target.layer_norm"
    for name in Normalisation.__args__:
        assert name in problem.message
    assert "did you mean 'layer'?" in problem.message
    assert "your own module:function" in problem.message
