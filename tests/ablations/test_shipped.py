"""Every shipped recipe and study is whole."""

from __future__ import annotations

import pytest

from ablations.arms import Request, expand
from ablations.identity import trial_key
from ablations.layers import Layer, resolve
from ablations.library import load_study, read_recipe, recipe_names, study_names
from ablations.published import match_published

SCALES = ["smoke", "laptop", "paper"]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_trial(name: str) -> None:
    source = read_recipe(name)
    modality, _, scale = name.partition("-")
    trial = resolve(modality, [Layer.from_yaml(source)])
    assert trial.modality == modality
    assert scale in SCALES
    assert source.file.read_text().startswith("# d2v ")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", study_names())
def test_every_study_expands_at_every_scale(name: str, scale: str) -> None:
    study = load_study(name)
    assert study.name == name
    for modality in study.metric:
        expanded = expand(study, Request(modality, scale, data_root="/data"))
        labels = [arm.label for arm in expanded.arms]
        assert study.baseline in labels
        keys = {trial_key(cell.trial, "digest") for cell in expanded.cells}
        assert len(keys) == len(expanded.cells) == len(labels) * len(study.seed_list())


def test_seeds_come_before_arms() -> None:
    expanded = expand(load_study("layer_averaging"), Request("vision", "smoke"))
    seeds = [cell.seed for cell in expanded.cells]
    assert seeds == sorted(seeds)


def test_figure_2_is_matched_at_the_same_share_of_the_depth() -> None:
    expanded = expand(load_study("layer_averaging"), Request("vision", "smoke"))
    matched = match_published(expanded.study, "vision", expanded.arms, expanded.depth)
    points = {label: (value.at, value.value) for label, value in matched.items()}
    assert points == {
        "K=1": ("K=1", 83.01),
        "K=2": ("K=6", 83.79),
        "K=3": ("K=9", 83.64),
        "K=4": ("K=12", 83.66),
    }


def test_figure_2_is_matched_point_by_point_at_the_papers_depth() -> None:
    request = Request("vision", "paper", data_root="/data")
    expanded = expand(load_study("layer_averaging"), request)
    matched = match_published(expanded.study, "vision", expanded.arms, expanded.depth)
    assert {label: value.at for label, value in matched.items()} == {
        f"K={k}": f"K={k}" for k in range(1, 13)
    }
