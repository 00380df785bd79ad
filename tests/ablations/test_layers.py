from pathlib import Path

import pytest

from ablations.layers import (
    Layer,
    check_setting,
    parse_assignments,
    resolve,
    set_layer,
)
from ablations.study.arms import data_root_layer
from ablations.yaml_source import parse_yaml
from d2v_core.config import L2Loss, SmoothL1Loss
from d2v_core.config.vision import BlockMask, DigitsData, FolderData, RandomMask
from d2v_core.errors import ConfigError


def recipe(text):
    return Layer.from_yaml(parse_yaml(text, Path("recipe.yaml")))


def options(*assignments):
    return set_layer(parse_assignments(assignments))


def refused(*layers):
    with pytest.raises(ConfigError) as caught:
        resolve("vision", layers)
    return str(caught.value).splitlines()


def test_without_layers_the_defaults_stand():
    trial = resolve("vision", [])
    assert trial.target.top_k == 6
    assert trial.modality == "vision"


def test_an_empty_recipe_changes_nothing():
    assert resolve("vision", [recipe("")]) == resolve("vision", [])


def test_later_layers_win_setting_by_setting():
    trial = resolve(
        "vision",
        [
            recipe("target: {top_k: 2, feature: ffn}\nseed: 1\n"),
            Layer.from_dotted({"target.top_k": 3}, lambda path: "study"),
            options("seed=5"),
        ],
    )
    assert (trial.target.top_k, trial.target.feature, trial.seed) == (3, "ffn", 5)


def test_resolving_twice_gives_the_same_and_leaves_the_layers_alone():
    layers = [recipe("mask: {kind: random}\n"), options("mask.ratio=0.3")]
    assert resolve("vision", layers) == resolve("vision", layers)
    assert layers[0].settings == {"mask": {"kind": "random"}}


def test_choosing_another_variant_drops_what_it_does_not_have():
    trial = resolve(
        "vision",
        [recipe("loss: {kind: smooth_l1, beta: 4.0}\n"), options("loss.kind=l2")],
    )
    assert trial.loss == L2Loss()


def test_choosing_another_variant_keeps_what_both_have():
    trial = resolve(
        "vision",
        [
            recipe("mask: {kind: block, ratio: 0.3, min_patches: 4}\n"),
            options("mask.kind=random"),
        ],
    )
    assert trial.mask == RandomMask(ratio=0.3)


def test_choosing_another_variant_back_and_forth_starts_from_its_defaults():
    trial = resolve(
        "vision",
        [
            recipe("mask: {kind: block, ratio: 0.3, min_patches: 4}\n"),
            options("mask.kind=random"),
            options("mask.kind=block"),
        ],
    )
    assert trial.mask == BlockMask(ratio=0.3, min_patches=16)


def test_a_variant_below_a_variant_can_change():
    trial = resolve(
        "vision",
        [recipe("teacher: {tau: {kind: linear, start: 0.5, end: 0.9, anneal: 10}}\n")],
    )
    assert (trial.teacher.tau.kind, trial.teacher.tau.anneal) == ("linear", 10)


def test_data_sources_share_their_root():
    trial = resolve(
        "vision",
        [
            recipe("data: {source: cifar10, root: /data, download: true}\n"),
            options("data.source=image_folder"),
        ],
    )
    assert trial.data == FolderData(root="/data")
    assert resolve("vision", [options("data.source=digits")]).data == DigitsData()


def test_the_same_variant_again_keeps_everything():
    trial = resolve(
        "vision",
        [
            recipe("loss: {kind: smooth_l1, beta: 4.0}\n"),
            options("loss.kind=smooth_l1"),
        ],
    )
    assert trial.loss == SmoothL1Loss(beta=4.0)


def test_a_mistake_points_to_the_layer_that_made_it():
    problems = refused(
        recipe("target:\n  top_k: zero\nloss:\n  kind: l3\n"),
        Layer.from_dotted({"seed": -1}, lambda path: "study s: arm 'a'"),
        options("optimizer.learning_rate=-1", "mask.rato=0.5"),
    )
    assert sorted(problems) == [
        "--set: mask.rato: unknown setting; did you mean 'ratio'?",
        "--set: optimizer.learning_rate: must be greater than 0, got -1",
        "recipe.yaml:2:3: target.top_k: must be a valid integer, got 'zero'",
        "recipe.yaml:4:3: loss.kind: must be one of l1, l2, smooth_l1, got 'l3'",
        "study s: arm 'a': seed: must be greater than or equal to 0, got -1",
    ]


def test_the_last_layer_that_set_a_value_is_blamed():
    problems = refused(recipe("seed: -1\n"), options("seed=-2"))
    assert problems == ["--set: seed: must be greater than or equal to 0, got -2"]


def test_a_rule_across_sections_points_to_the_setting_it_names():
    problems = refused(
        recipe("vision: {depth: 4}\ntarget:\n  top_k: 9\n"),
    )
    assert problems == [
        "recipe.yaml:3:3: target.top_k: must be at most the encoder's depth (4), got 9"
    ]


def test_an_unknown_modality_is_refused():
    with pytest.raises(ConfigError, match="must be one of speech, text, vision, got"):
        resolve("speach", [])


def test_a_recipe_that_is_no_mapping_is_refused():
    with pytest.raises(ConfigError, match=r"recipe.yaml:1:1: must be a mapping"):
        recipe("- 1\n- 2\n")


def test_assignments_are_yaml_values():
    assert parse_assignments(
        ["a.b=4", "c=1e-3", "d=[0.1, 1]", "e=null", "f=yes", "g=x=y", " h =1", "i="]
    ) == {
        "a.b": 4,
        "c": 0.001,
        "d": [0.1, 1],
        "e": None,
        "f": "yes",
        "g": "x=y",
        "h": 1,
        "i": None,
    }


def test_all_assignments_without_the_right_form_are_named():
    with pytest.raises(ConfigError) as caught:
        parse_assignments(["target.top_k", "=3", "a=[1", "b=1"])
    lines = str(caught.value)
    assert "--set target.top_k: must have the form path=value" in lines
    assert "--set =3: must have the form path=value" in lines
    assert "--set a=[1: not a value" in lines
    assert "b=1" not in lines


def test_a_value_and_a_part_of_it_cannot_both_be_set():
    with pytest.raises(ConfigError) as caught:
        options("target=3", "target.top_k=4")
    assert str(caught.value) == ("--set: target.top_k: 'target' is set to 3 as a whole")


def test_a_path_into_a_whole_section_leaves_the_section_it_was_given_alone():
    whole = {"top_k": 8, "feature": "ffn"}
    settings = {"target": whole, "target.top_k": 4}
    layer = Layer.from_dotted(settings, lambda path: "study")
    assert layer.settings == {"target": {"top_k": 4, "feature": "ffn"}}
    assert whole == {"top_k": 8, "feature": "ffn"}


def test_settings_are_checked_by_name():
    assert check_setting("vision", "target.top_k") is None
    assert check_setting("vision", "teacher.tau.anneal") is None
    assert check_setting("vision", "mask.min_patches") is None
    problem = check_setting("vision", "target.top_q")
    assert problem.path == "target.top_q"
    assert "did you mean 'top_k'?" in problem.message
    assert check_setting("vision", "target.top_k.x") is not None


def test_a_relative_data_root_of_a_file_starts_at_the_file(tmp_path):
    file = tmp_path / "recipes" / "mine.yaml"
    text = "data: {source: image_folder, root: ../pictures}\n"
    trial = resolve("vision", [Layer.from_yaml(parse_yaml(text, file))])
    assert trial.data.root == str(tmp_path / "pictures")


def test_a_relative_data_root_that_is_typed_starts_where_it_is_typed(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    trial = resolve("vision", [options("data.source=image_folder", "data.root=a")])
    assert trial.data.root == str(tmp_path / "a")


def test_the_data_root_goes_to_data_that_has_one_whoever_chose_it():
    root = data_root_layer("/pictures")
    embedded = resolve("vision", [recipe("data: {source: digits}"), *root])
    assert not hasattr(embedded.data, "root")
    chosen = options("data.source=image_folder")
    trial = resolve("vision", [recipe("data: {source: digits}"), *root, chosen])
    assert trial.data.root == "/pictures"


def test_what_is_set_after_the_data_root_wins():
    layers = [
        *data_root_layer("/a"),
        options("data.source=image_folder", "data.root=/b"),
    ]
    assert resolve("vision", layers).data.root == "/b"
