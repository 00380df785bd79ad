"""examples/small_convnext.py: an encoder of one's own."""

import math

import pytest
import torch

from ablations.study.arms import Request, expand_named
from d2v_core.build import build_encoder, build_objective, check_buildable
from d2v_core.costs import estimate_cost
from d2v_core.encoders.images import ImageEncoder
from d2v_core.errors import ConfigError
from d2v_core.export import EXPORTERS
from tests.examples.places import EXAMPLES, small_vision, trained

OWN = {"vision.timm_model": "small_convnext.py:SmallConvNext"}
TUNED = {
    "evaluation.fine_tuning": {
        "num_steps": 2,
        "batch_size": 4,
        "learning_rates": [1e-3],
    }
}


def encoder(**settings) -> ImageEncoder:
    own = {f"vision.settings.{name}": value for name, value in settings.items()}
    built = build_encoder(small_vision({**OWN, **own}))
    assert isinstance(built, ImageEncoder)
    return built.eval()


def test_sizes_are_those_of_the_configuration() -> None:
    built = encoder()
    assert (built.dim, built.depth, built.grid) == (16, 3, (4, 4))
    assert built.patch_size == (2, 2)
    assert built.network.blocks[0].mix.kernel_size == (3, 3)
    assert encoder(kernel=1).network.blocks[0].mix.kernel_size == (1, 1)


def test_what_a_mask_hides_is_not_seen() -> None:
    built, mask = encoder(), torch.zeros(1, 16, dtype=torch.bool)
    mask[0, 5] = True
    images = torch.randn(1, 1, 8, 8)
    other = images.clone()
    other[:, :, 2:4, 2:4] += 1.0  # the patch in row 1, column 1
    torch.testing.assert_close(built(images, mask), built(other, mask))
    assert not torch.allclose(built(images), built(other))
    pieces = built.pieces(images)
    torch.testing.assert_close(pieces[0, 5], images[0, 0, 2:4, 2:4].flatten())


def test_weights_depend_on_the_seed_alone() -> None:
    state, again = encoder().state_dict(), encoder().state_dict()
    other = build_encoder(small_vision({**OWN, "seed": 4})).state_dict()
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert not torch.equal(state["mask_token"], other["mask_token"])


def test_it_trains_is_tuned_and_its_teacher_shares_parts() -> None:
    shares = {"teacher.shares": ["feature_encoder", "positions"]}
    losses, metrics = trained(small_vision({**OWN, **TUNED, **shares}))
    assert all(map(math.isfinite, losses))
    assert "eval/fine_tuned_accuracy" in metrics
    assert estimate_cost(small_vision(OWN)) is not None


@pytest.mark.parametrize("kind", ["supervised", "rotation", "pixels"])
def test_other_objectives_train_it_too(kind: str) -> None:
    trial = small_vision({**OWN, "objective.kind": kind})
    assert build_objective(trial, num_classes=10) is not None


def test_the_study_has_an_arm_for_each() -> None:
    expanded = expand_named(
        str(EXAMPLES / "encoder.yaml"), Request("vision", "smoke", seeds=(0,))
    )
    kernels = [cell.trial.vision.settings for cell in expanded.cells]
    assert kernels == [{}, {}, {"kernel": 5}]
    for cell in expanded.cells:
        check_buildable(cell.trial)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target.feature": "ffn"}, "target.feature: must be block with an encoder of"),
        ({"vision.settings.kernel": 2}, "vision.timm_model: must be an encoder"),
        (
            {"teacher.context": 0.5},
            "teacher.context: OwnImageEncoder cannot be restricted",
        ),
    ],
)
def test_what_it_does_not_offer_is_refused(settings, message) -> None:
    with pytest.raises(ConfigError) as caught:
        check_buildable(small_vision({**OWN, **settings}))
    assert message in str(caught.value)


def test_an_objective_that_leaves_tokens_out_needs_a_timm_model() -> None:
    with pytest.raises(ConfigError, match="must be a timm model where an objective"):
        estimate_cost(small_vision({**OWN, "objective.kind": "data2vec2"}))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(config): return 3", "gave a int"),
        (
            "import torch\ndef f(config): return torch.nn.Linear(2, 2)",
            "must have blocks",
        ),
        ("def f(config, width): return 3", "missing a required argument: 'width'"),
    ],
)
def test_what_is_no_encoder_is_refused(source, message, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(source)
    trial = small_vision({"vision.timm_model": "mine.py:f"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_buildable(trial)
    assert "vision.timm_model: must be an encoder, f(config) -> " in str(caught.value)
    assert message in str(caught.value)


def test_settings_are_for_ones_own() -> None:
    with pytest.raises(ConfigError, match="must be empty for a timm model, got"):
        small_vision({"vision.settings.kernel": 3})


@pytest.mark.parametrize("form", ["hf", "timm"])
def test_it_is_no_model_of_other_libraries(form, tmp_path) -> None:
    with pytest.raises(ValueError, match="cannot express an encoder of your own"):
        EXPORTERS["vision"][form](encoder(), tmp_path)
