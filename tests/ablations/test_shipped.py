"""Every shipped recipe and study is whole."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product

import pytest

from ablations.identity import trial_key
from ablations.layers import Layer, resolve
from ablations.library import load_study, read_recipe, recipe_names, study_names
from ablations.metrics import METRICS
from ablations.study.arms import ExpandedStudy, Request, expand
from ablations.study.published import match_published
from d2v_core.build import check_buildable

SCALES = ["smoke", "laptop", "gpu", "paper"]
PLACES = [
    (name, modality, scale)
    for name, modality, scale in product(study_names(), METRICS, SCALES)
    if modality in load_study(name).metric and f"{modality}-{scale}" in recipe_names()
]
SMOKE = [(name, modality) for name, modality, scale in PLACES if scale == "smoke"]
MOST_ARMS = 9
"""So that a study at scale smoke takes minutes."""

SHARED = {"vision": 32, "speech": 31, "text": 26}
"""Trials per seed that tables share with others, at scale smoke."""


def expanded(name: str, modality: str, scale: str) -> ExpandedStudy:
    return expand(load_study(name), Request(modality, scale, data_root="/data"))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_trial(name: str) -> None:
    source = read_recipe(name)
    modality, _, scale = name.partition("-")
    trial = resolve(modality, [Layer.from_yaml(source)])
    assert trial.modality == modality
    assert scale in SCALES
    assert source.file.read_text().startswith("# d2v ")


@pytest.mark.parametrize(("name", "modality", "scale"), PLACES)
def test_every_study_expands_at_every_scale(
    name: str, modality: str, scale: str
) -> None:
    result = expanded(name, modality, scale)
    labels = [arm.label for arm in result.arms]
    assert result.study.name == name
    assert result.study.baseline in labels
    keys = {trial_key(cell.trial, "digest") for cell in result.cells}
    seeds = result.study.seed_list()
    assert len(keys) == len(result.cells) == len(labels) * len(seeds)
    for claim in result.study.claims:
        assert {arm for _, arm in claim.arms_named()} <= set(labels), claim.id


@pytest.mark.parametrize(("name", "modality"), SMOKE)
def test_every_study_is_small_and_buildable_at_scale_smoke(
    name: str, modality: str
) -> None:
    result = expanded(name, modality, "smoke")
    assert len(result.arms) <= MOST_ARMS
    for cell in result.cells[: len(result.arms)]:
        check_buildable(cell.trial)


OURS = {"evaluation_protocol", "one_recipe"}
"""Studies that reproduce no table of the paper."""
PAPERS = ("2202.03555v3", "2212.07525")


@pytest.mark.parametrize("name", study_names())
def test_every_study_says_where_it_comes_from(name: str) -> None:
    study = load_study(name)
    assert study.hypothesis
    if name in OURS:
        return
    assert study.paper is not None
    assert study.paper.arxiv in PAPERS
    for claim in study.claims:
        assert claim.where, claim.id


@pytest.mark.parametrize(
    ("modality", "metric", "higher_is_better"),
    [
        ("vision", "linear_accuracy", True),
        ("speech", "word_error_rate", False),
        ("text", "glue_score", True),
    ],
)
def test_a_modality_has_one_metric_in_all_studies(
    modality: str, metric: str, higher_is_better: bool
) -> None:
    studies = [load_study(name) for name in study_names() if name not in OURS]
    having = [study for study in studies if modality in study.metric]
    assert {study.metric[modality] for study in having} == {metric}
    assert METRICS[modality][metric].higher_is_better == higher_is_better
    for study in having:
        if modality in study.published:
            assert study.published[modality].higher_is_better == higher_is_better


def test_every_published_number_stands_beside_an_arm() -> None:
    num_published = 0
    for name, modality, scale in PLACES:
        if scale != "paper":
            continue
        result = expanded(name, modality, scale)
        matched = match_published(result.study, modality, result.arms, result.depth)
        published = result.study.published.get(modality)
        theirs = Counter(published.values.values()) if published else Counter()
        assert Counter(value.value for value in matched.values()) == theirs
        num_published += theirs.total()
    assert num_published >= 70


@pytest.mark.parametrize("modality", sorted({modality for _, modality in SMOKE}))
def test_tables_share_the_trials_they_have_in_common(modality: str) -> None:
    one_seed = Request(modality, "smoke", seeds=(0,))
    keys = [
        trial_key(cell.trial, "digest")
        for name in study_names()
        if (name, modality) in SMOKE
        for cell in expand(load_study(name), one_seed).cells
    ]
    assert len(keys) - len(set(keys)) == SHARED[modality]


def test_seeds_come_before_arms() -> None:
    result = expanded("layer_averaging", "vision", "smoke")
    seeds = [cell.seed for cell in result.cells]
    assert seeds == sorted(seeds)


def test_figure_2_is_matched_at_the_same_share_of_the_depth() -> None:
    result = expanded("layer_averaging", "vision", "smoke")
    matched = match_published(result.study, "vision", result.arms, result.depth)
    points = {label: (value.at, value.value) for label, value in matched.items()}
    assert points == {
        "K=1": ("K=1", 83.01),
        "K=2": ("K=3", 84.02),
        "K=4": ("K=6", 83.79),
        "K=8": ("K=12", 83.66),
    }


def test_figure_2_is_matched_point_by_point_at_the_papers_depth() -> None:
    result = expanded("layer_averaging", "vision", "paper")
    matched = match_published(result.study, "vision", result.arms, result.depth)
    assert {label: value.at for label, value in matched.items()} == {
        f"K={k}": f"K={k}" for k in range(1, 13)
    }
    claims = json.loads(result.study.model_dump_json())["claims"]
    assert claims[1]["test"]["arm"] == "K=12"
