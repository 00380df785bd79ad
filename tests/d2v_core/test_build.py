import pytest
import torch

from d2v_core.build import (
    build_encoder,
    build_objective,
    build_on_meta,
    check_buildable,
    default_depth,
)
from d2v_core.errors import ConfigError
from d2v_core.masks.patches import BlockMasks, RandomMasks
from d2v_core.modalities.vision import build_patch_masks
from d2v_core.objectives.configured import build_loss, build_tau
from tests.d2v_core.small import small_trial
from tests.d2v_core.small_speech import small_speech_trial
from tests.d2v_core.small_text import small_text_trial


def weights(*changes):
    objective = build_objective(small_trial(*changes), num_classes=3)
    return objective.network("student").state_dict()


def same(a, b):
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "change",
    [
        {"target": {"top_k": 1, "feature": "ffn"}},
        {"head": {"depth": 3}},
        {"loss": {"kind": "l2"}},
        {"mask": {"kind": "random", "ratio": 0.3}},
        {"objective": {"kind": "untrained"}},
        {"objective": {"kind": "supervised"}},
        {"optimizer": {"learning_rate": 0.5}, "training": {"num_steps": 77}},
    ],
)
def test_every_arm_of_a_seed_starts_from_the_same_weights(change):
    assert same(weights(), weights(change))


def test_seeds_start_from_different_weights():
    assert not same(weights(), weights({"seed": 4}))


def test_building_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    weights()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_head_is_built_from_its_own_stream():
    one = build_objective(small_trial(), num_classes=3).module["head"]
    two = build_objective(small_trial(), num_classes=3).module["head"]
    assert torch.equal(one[0].weight, two[0].weight)


def test_the_teacher_starts_as_the_student():
    objective = build_objective(small_trial(), num_classes=3)
    student, teacher = objective.network("student"), objective.network("teacher")
    assert same(student.state_dict(), teacher.state_dict())


def test_masks_are_a_function_of_seed_and_update():
    def draw(step, *changes):
        objective = build_objective(small_trial(*changes), num_classes=3)
        return objective.draw(torch.zeros(8, 1, 8, 8), step).mask

    assert draw(1).shape == (8, 16)
    assert torch.equal(draw(1), draw(1))
    assert torch.equal(draw(1), draw(1, {"target": {"top_k": 1}}))
    assert not torch.equal(draw(1), draw(2))
    assert not torch.equal(draw(1), draw(1, {"seed": 9}))


def test_mask_settings_reach_the_sampler():
    settings = {
        "kind": "block",
        "ratio": 0.4,
        "min_patches": 3,
        "max_patches": 5,
        "min_aspect": 0.5,
    }
    sampler = build_patch_masks(small_trial({"mask": settings}), (5, 5))
    assert isinstance(sampler, BlockMasks)
    assert (sampler.num_masked, sampler.min_patches, sampler.max_patches) == (10, 3, 5)
    assert sampler.max_log_aspect == pytest.approx(0.6931472)
    random = {"mask": {"kind": "random", "ratio": 0.2}}
    sampler = build_patch_masks(small_trial(random), (5, 5))
    assert isinstance(sampler, RandomMasks)
    assert sampler.num_masked == 5


def test_losses_are_chosen_by_kind():
    a, b = torch.tensor([[3.0, 0.5]]), torch.zeros(1, 2)
    values = {
        "smooth_l1": 0.5 * ((3 - 0.5) + 0.5**2 / 2),
        "l2": 0.5 * (9 + 0.25),
        "l1": 0.5 * 3.5,
    }
    for kind, expected in values.items():
        loss = {"kind": kind} | ({"beta": 1.0} if kind == "smooth_l1" else {})
        distance = build_loss(small_trial({"loss": loss}), 2)
        assert float(distance(a, b)) == pytest.approx(expected)


def test_losses_are_multiplied_by_their_scale():
    a, b = torch.tensor([[3.0, 0.5, 0.0, 1.0]]), torch.zeros(1, 4)
    total = 9 + 0.25 + 1
    for scale, expected in (
        (1.0, total / 4),
        (3, 3 * total / 4),
        ("sum", total),
        ("inverse_sqrt_dim", total / 2),
    ):
        loss = {"loss": {"kind": "l2", "scale": scale}}
        distance = build_loss(small_trial(loss), 4)
        assert float(distance(a, b)) == pytest.approx(expected)


def test_a_cosine_tau_ramps_over_the_whole_run_unless_told_otherwise():
    steps = {"training": {"num_steps": 8}}
    tau = build_tau(small_trial({"teacher": {"tau": {"kind": "cosine"}}}, steps))
    middle = (0.996 + 1) / 2
    assert [tau(step) for step in (4, 8)] == pytest.approx([middle, 1.0])
    ramp = {"kind": "cosine", "start": 0.0, "end": 0.8, "anneal": 0.5}
    tau = build_tau(small_trial({"teacher": {"tau": ramp}}, steps))
    assert [tau(step) for step in (2, 4, 8)] == pytest.approx([0.4, 0.8, 0.8])


def test_tau_is_constant_or_a_ramp_over_a_share_of_the_run():
    constant = {"teacher": {"tau": {"kind": "constant", "value": 0.7}}}
    assert build_tau(small_trial(constant))(123) == 0.7
    ramp = {"kind": "linear", "start": 0.0, "end": 1.0, "anneal": 0.5}
    tau = build_tau(
        small_trial({"teacher": {"tau": ramp}, "training": {"num_steps": 8}})
    )
    assert [tau(step) for step in (1, 2, 4, 8)] == [0.25, 0.5, 1.0, 1.0]


def test_checking_counts_the_parameters_without_building():
    trial = small_trial()
    expected = sum(p.numel() for p in build_encoder(trial).parameters())
    assert check_buildable(trial) == expected


@pytest.mark.parametrize("trial", [small_trial, small_speech_trial, small_text_trial])
def test_what_is_built_without_memory_has_the_same_weights(trial):
    expected = build_encoder(trial()).state_dict()
    found = build_on_meta(trial()).state_dict()
    assert all(weight.is_meta for weight in found.values())
    shapes = [
        {k: (w.shape, w.dtype) for k, w in of.items()} for of in (expected, found)
    ]
    assert shapes[0] == shapes[1]


def test_timm_knows_the_depth_the_recipe_leaves_out():
    trial = small_trial({"vision": {"depth": None}})
    assert default_depth(trial) == 12


@pytest.mark.parametrize(
    "build", [check_buildable, lambda t: build_objective(t, num_classes=2)]
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"vision": {"depth": None}, "target": {"top_k": 13}},
            "target.top_k: must be at most the encoder's depth (12), got 13",
        ),
        (
            {
                "vision": {"timm_model": "vit_medium_patch16_gap_240"},
                "evaluation": {"pooling": "class_token"},
            },
            "evaluation.pooling: class_token needs a model that has one, "
            "'vit_medium_patch16_gap_240' has none",
        ),
        (
            {
                "vision": {"width": None},
                "target": {"layer_norm": "group", "num_groups": 5},
            },
            "target.num_groups: must divide the encoder's width (192), got 5",
        ),
        (
            {
                "vision": {"timm_model": "beit_base_patch16_224"},
                "teacher": {"shares": ["feature_encoder", "positions"]},
            },
            "teacher.shares: positions cannot be shared, this encoder has none",
        ),
    ],
)
def test_what_does_not_fit_the_encoder_is_refused(build, change, message):
    with pytest.raises(ConfigError) as caught:
        build(small_trial(change))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"timm_model": "vit_tini_patch16_224"},
            "vision.timm_model: must be a timm model of the families "
            "vision_transformer, deit, beit, got 'vit_tini_patch16_224'; did you mean "
            "'vit_tiny_patch16_224'?",
        ),
        (
            {"timm_model": "beit_base_patch16_224", "positions": "sincos"},
            "vision.positions: sincos needs a timm model with absolute positions and "
            "a width divisible by 4, got width 16 and no positions",
        ),
        (
            {"num_heads": None},
            "vision: cannot be built with these sizes: ",
        ),
    ],
)
def test_what_timm_refuses_is_a_problem_of_a_setting(change, message):
    with pytest.raises(ConfigError) as caught:
        check_buildable(small_trial({"vision": change}))
    assert str(caught.value).startswith(message)
