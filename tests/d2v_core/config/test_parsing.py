import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2v_core.config import VisionTrial, leaves, parse_trial
from d2v_core.errors import ConfigError
from tests.d2v_core.small import SMALL, merged


def refused(changes):
    with pytest.raises(ConfigError) as caught:
        parse_trial(merged({"modality": "vision"}, changes))
    return {problem.path: problem.message for problem in caught.value.problems}


def test_nothing_but_the_modality_is_required():
    assert parse_trial({"modality": "vision"}) == VisionTrial()


def test_the_dumped_configuration_parses_to_itself():
    trial = parse_trial(SMALL)
    assert parse_trial(trial.model_dump(mode="json")) == trial


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        (
            {"target": {"top_q": 3}},
            "target.top_q",
            "unknown setting; did you mean 'top_k'?",
        ),
        ({"sed": 3}, "sed", "unknown setting; did you mean 'seed'?"),
        (
            {"head": {"zzz": 1}},
            "head.zzz",
            "unknown setting; known here: depth",
        ),
        (
            {"teacher": {"tau": {"kind": "constant", "start": 0.1}}},
            "teacher.tau.start",
            "unknown setting",
        ),
        (
            {"target": {"top_k": "three"}},
            "target.top_k",
            "must be a valid integer, got 'three'",
        ),
        ({"target": {"top_k": 2.0}}, "target.top_k", "got 2.0"),
        ({"target": {"top_k": True}}, "target.top_k", "got True"),
        (
            {"target": {"top_k": 0}},
            "target.top_k",
            "must be greater than or equal to 1, got 0",
        ),
        (
            {"target": {"feature": "fnn"}},
            "target.feature",
            "must be one of attention, block, ffn, ffn_residual, got 'fnn'; "
            "did you mean 'ffn'?",
        ),
        (
            {"loss": {"kind": "smooth_l2"}},
            "loss.kind",
            "must be one of l1, l2, smooth_l1, got 'smooth_l2'; "
            "did you mean 'smooth_l1'?",
        ),
        (
            {"data": {"source": "cifar11"}},
            "data.source",
            "must be one of cifar10, cifar100, digits, image_folder, imagenet, images, "
            "memory, own, "
            "got 'cifar11'; did you mean 'cifar10",
        ),
        (
            {"teacher": {"tau": {"kind": "cosin"}}},
            "teacher.tau.kind",
            "must be one of constant, cosine, horizon, linear, own, got 'cosin'; "
            "did you mean 'cosine'?",
        ),
        ({"loss": {"beta": 1.0}}, "loss", "needs the key 'kind'"),
        ({"target": 3}, "target", "got 3"),
        ({"vision": {"channels": 2}}, "vision.channels", "must be one of 1, 3, got 2"),
        ({"optimizer": {"warmup": -1}}, "optimizer.warmup", "got -1"),
        ({"optimizer": {"warmup": 1.5}}, "optimizer.warmup", "got 1.5"),
        ({"optimizer": {"warmup": "10%"}}, "optimizer.warmup", "got '10%'"),
        ({"health": {"after": -5}}, "health.after", "got -5"),
        (
            {"evaluation": {"l2_grid": [0.1, "x"]}},
            "evaluation.l2_grid.1",
            "must be a valid number, got 'x'",
        ),
        ({"evaluation": {"l2_grid": []}}, "evaluation.l2_grid", "at least 1 item"),
        ({"seed": -1}, "seed", "must be greater than or equal to 0, got -1"),
        (
            {"vision": {"depth": 4}, "target": {"top_k": 5}},
            "target.top_k",
            "must be at most the encoder's depth (4), got 5",
        ),
        (
            {"vision": {"image_size": 10, "patch_size": 3}},
            "vision.patch_size",
            "must divide vision.image_size (10), got 3",
        ),
        (
            {"vision": {"width": 10, "num_heads": 4}},
            "vision.num_heads",
            "must divide vision.width (10), got 4",
        ),
        (
            {"target": {"layer_norm": "group", "num_groups": 0}},
            "target.num_groups",
            "must be greater than or equal to 1, got 0",
        ),
        (
            {
                "vision": {"width": 12},
                "target": {"final_norm": "group", "num_groups": 5},
            },
            "target.num_groups",
            "must divide the encoder's width (12), got 5",
        ),
        (
            {"target": {"num_groups": 2}},
            "target.num_groups",
            "is for layer_norm or final_norm group; must be 1 without, got 2",
        ),
        (
            {"optimizer": {"decay": "tri_stage"}},
            "optimizer.hold",
            "must be above 0 for decay tri_stage (speech 0.9, text 0.8), got 0",
        ),
        (
            {"optimizer": {"hold": 0.9}},
            "optimizer.hold",
            "is for decay tri_stage; must be 0 with cosine, got 0.9",
        ),
        (
            {
                "optimizer": {"decay": "tri_stage", "hold": 0.9, "warmup": 20},
                "training": {"num_steps": 100},
            },
            "optimizer.hold",
            "must end, after 20 updates of warm-up, within the run, "
            "got 90 of 100 updates",
        ),
        (
            {
                "optimizer": {
                    "decay": "tri_stage",
                    "hold": 0.9,
                    "final_learning_rate": 0.0,
                }
            },
            "optimizer.final_learning_rate",
            "must be above 0 for decay tri_stage, which shrinks by a factor, got 0.0",
        ),
        (
            {"teacher": {"shares": ["positions", "mask_token"]}},
            "teacher.shares.1",
            "must be one of feature_encoder, positions, got 'mask_token'",
        ),
        ({"teacher": {"shares": "positions"}}, "teacher.shares", "got 'positions'"),
        (
            {"teacher": {"context": 0.0}},
            "teacher.context",
            "must be greater than 0, got 0.0",
        ),
        (
            {"teacher": {"context": 1.5}},
            "teacher.context",
            "must be less than or equal to 1, got 1.5",
        ),
        (
            {"teacher": {"tau": {"kind": "cosine", "end": 1.1}}},
            "teacher.tau.end",
            "must be less than or equal to 1, got 1.1",
        ),
        (
            {"loss": {"kind": "l2", "scale": 0.0}},
            "loss.scale",
            "must be greater than 0, got 0.0",
        ),
        (
            {"loss": {"kind": "l1", "scale": "inverse_sqrt"}},
            "loss.scale",
            "must be one of inverse_sqrt_dim, sum, got 'inverse_sqrt'; did you mean "
            "'inverse_sqrt_dim'?",
        ),
        (
            {"vision": {"width": 10, "num_heads": 0}},
            "vision.num_heads",
            "must be greater than or equal to 1, got 0",
        ),
    ],
)
def test_a_mistake_is_named_with_its_path_its_rule_and_the_value(
    changes, path, message
):
    problems = refused(changes)
    assert list(problems) == [path]
    assert message in problems[path]


def test_shared_parts_are_a_set_whatever_their_order_and_repetition():
    def shares(*parts):
        data = {"modality": "vision", "teacher": {"shares": list(parts)}}
        return parse_trial(data).teacher.shares

    both = ("feature_encoder", "positions")
    assert shares("positions", "feature_encoder", "positions") == shares(*both) == both
    assert shares() == ()


def test_all_mistakes_are_named_at_once_also_those_across_sections():
    problems = refused(
        {
            "sed": 1,
            "target": {"top_k": 9, "layer_norm": "grup"},
            "vision": {"depth": 4, "image_size": 9, "patch_size": 2, "width": "big"},
            "loss": {"kind": "smooth_l1", "beta": -1.0},
            "mask": {"kind": "blocks"},
            "optimizer": {"learning_rate": 0},
        }
    )
    assert set(problems) == {
        "sed",
        "target.layer_norm",
        "target.top_k",
        "vision.width",
        "vision.patch_size",
        "loss.beta",
        "mask.kind",
        "optimizer.learning_rate",
    }


@pytest.mark.parametrize("modality", ["visoin", None, 3, ["vision"], {"a": 1}])
def test_the_modality_must_be_known(modality):
    with pytest.raises(ConfigError, match="modality: must be one of .*vision, got"):
        parse_trial({"modality": modality})


def test_a_whole_number_is_a_float_where_one_is_asked_for():
    trial = parse_trial({"modality": "vision", "optimizer": {"learning_rate": 1}})
    assert trial.optimizer.learning_rate == 1.0
    assert type(trial.optimizer.learning_rate) is float


def test_durations_keep_updates_and_shares_apart():
    trial = parse_trial({"modality": "vision", "optimizer": {"warmup": 1}})
    assert type(trial.optimizer.warmup) is int
    trial = parse_trial({"modality": "vision", "optimizer": {"warmup": 1.0}})
    assert type(trial.optimizer.warmup) is float


PATHS = [path for path, _ in leaves(parse_trial(SMALL))]
ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**12),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=6) | st.integers(), st.integers(), max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(PATHS), st.integers(0, 2), ODD_VALUES), max_size=4
    )
)
def test_whatever_is_written_the_answer_is_a_trial_or_a_config_error(changes):
    data = copy.deepcopy(parse_trial(SMALL).model_dump(mode="json"))
    for path, cut, value in changes:
        *parents, last = path.split(".")[: max(1, 3 - cut)]
        place = data
        for part in parents:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = value
    messages = ["valid"]
    try:
        parse_trial(data)
    except ConfigError as error:
        messages = [problem.message for problem in error.problems]
    assert messages
    assert all(messages)
