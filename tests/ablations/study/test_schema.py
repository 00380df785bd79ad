"""A study says what exists, and every mistake is named at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.metrics import manifest_metric, metric_of
from tests.ablations.written import (
    K_AXIS,
    TWO_ARMS,
    TWO_METRICS,
    refused,
    refused_file,
    study,
)

TWO_MODALITIES: dict[str, Any] = {
    "metric": TWO_METRICS,
    "paper": {"where": {"vision": "Table 1", "text": "Table 4"}},
    "set": {"training.num_steps": 10},
    "set_for": {"text": {"training.num_steps": 20, "text.width": 32}},
    "arms": [
        {"name": "recipe"},
        {
            "name": "masked",
            "set": {"mask.kind": "span", "mask.span": 2},
            "only": ["text"],
        },
        {
            "name": "wide",
            "set": {"target.top_k": 2},
            "set_for": {"vision": {"vision.width": 32}, "text": {"target.top_k": 1}},
        },
    ],
    "baseline": {"vision": "wide", "text": "masked"},
    "claims": [
        {
            "id": "spans",
            "says": "spans help",
            "modalities": ["text"],
            "test": {"kind": "better", "arm": "masked", "than": "recipe"},
        },
        {"id": "same", "says": "alike", "test": {"kind": "alike", "within": 1.0}},
    ],
}


def test_a_modality_has_its_own_arms_baseline_place_and_claims() -> None:
    vision = study(**TWO_MODALITIES).for_modality("vision")
    assert {arm.name: arm.set for arm in vision.arms} == {
        "recipe": {},
        "wide": {"target.top_k": 2, "vision.width": 32},
    }
    assert vision.set == {"training.num_steps": 10}
    assert vision.baseline == "wide"
    assert vision.paper is not None
    assert vision.paper.where == "Table 1"
    assert [claim.id for claim in vision.claims] == ["same"]
    assert vision.metric == {"vision": "linear_accuracy"}


def test_what_is_for_one_modality_comes_after_what_is_common() -> None:
    text = study(**TWO_MODALITIES).for_modality("text")
    assert {arm.name: arm.set for arm in text.arms} == {
        "recipe": {},
        "masked": {"mask.kind": "span", "mask.span": 2},
        "wide": {"target.top_k": 1},
    }
    assert text.set == {"training.num_steps": 20, "text.width": 32}
    assert text.baseline == "masked"
    assert [claim.id for claim in text.claims] == ["spans", "same"]


@pytest.mark.parametrize("modality", ["vision", "text"])
def test_a_study_of_one_modality_stays_as_it_is(modality: str) -> None:
    one = study(**TWO_MODALITIES).for_modality(modality)
    assert one.for_modality(modality) == one
    assert type(one).model_validate_json(one.model_dump_json()) == one


def test_all_places_in_the_paper_are_listed() -> None:
    paper = study(**TWO_MODALITIES).paper
    assert paper is not None
    assert paper.places == "Table 1; Table 4"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"arms": []},
            "a study needs exactly one of axis, axes and arms, got none",
        ),
        (
            {"arms": TWO_ARMS, "axis": K_AXIS},
            "arms: a study needs exactly one of axis, axes and arms, got axis and arms",
        ),
        (
            {"arms": [*TWO_ARMS, {"name": "two"}]},
            "arms.2.name: must be unique, 'two' stands twice",
        ),
        (
            {"arms": [{"name": "untrained"}], "reference_arms": ["untrained"]},
            "arms.0.name: must be unique, 'untrained' stands twice",
        ),
        (
            {"arms": [{"name": "a", "only": ["vison"]}, {"name": "b"}]},
            "arms.0.only.0: must be one of vision, got 'vison'; did you mean 'vision'?",
        ),
        (
            {"metric": TWO_METRICS, "arms": [{"name": "a", "only": ["vision"]}]},
            "metric.text: no arm exists for this modality",
        ),
        (
            {
                "metric": TWO_METRICS,
                "arms": [
                    {"name": "a", "only": ["text"], "set_for": {"vision": {}}},
                    {"name": "b"},
                ],
            },
            "arms.0.set_for.vision: must be one of text, got 'vision'",
        ),
        (
            {"metric": {"sound": "linear_accuracy"}},
            "metric.sound: must be one of ",
        ),
        (
            {"metric": {"vision": "linear_acuracy"}},
            "metric.vision: must be one of accuracy, fine_tuned_accuracy, "
            "knn_accuracy, knn_accuracy_all_labels, linear_accuracy, "
            "linear_accuracy_all_labels, "
            "rankme, got 'linear_acuracy'; did you mean 'linear_accuracy'?",
        ),
        (
            {"metric": {"vision": {"name": "loss", "title": "x"}}},
            "metric.vision.name: must hold: string should match pattern "
            r"'^(eval|cost|train|target|prediction|teacher|student|optimizer)/[\w./-]+$'"
            ", got 'loss'",
        ),
        (
            {"metric": TWO_METRICS, "paper": {"where": {"vision": "Table 1"}}},
            "paper.where: must be one text, or one for every modality; lacks text",
        ),
        ({"seeds": 0}, "seeds: must be at least one seed, a count or a list, got 0"),
        ({"seeds": [1, 1]}, "seeds: must be different and not negative, got [1, 1]"),
        (
            {"set": {"seed": 3}},
            "set.seed: must not be set, seeds of the study says it",
        ),
        (
            {"set": {"target.topk": 3}},
            "set.target.topk: must name a setting, got 'target.topk'; did you mean "
            "'top_k'?",
        ),
        (
            {"set_for": {"text": {}}},
            "set_for.text: must be one of vision, got 'text'",
        ),
        ({"baseline": "tow"}, "baseline: must be one of three, two, got 'tow'"),
        (
            {"metric": TWO_METRICS, "baseline": {"text": "tow"}},
            "baseline.text: must be one of three, two, got 'tow'",
        ),
        (
            {"baseline": {"text": "two"}},
            "baseline.text: must be one of vision, got 'text'",
        ),
    ],
)
def test_a_mistake_is_one_sentence_at_its_place(
    fields: dict[str, Any], message: str
) -> None:
    lines = refused(**fields)
    assert any(line.startswith(message) for line in lines), lines


def test_a_setting_of_another_modality_says_what_to_use() -> None:
    [line] = refused(
        metric=TWO_METRICS, arms=[{"name": "a", "set": {"vision.width": 8}}]
    )
    assert line.startswith("arms.0.set.vision.width: must name a setting, got")
    assert line.endswith("(for text; use only or set_for)")


def test_settings_of_an_arm_are_checked_where_it_exists() -> None:
    arms = [{"name": "a", "set": {"vision.width": 8}, "only": ["vision"]}]
    made = study(metric=TWO_METRICS, arms=[*arms, {"name": "b"}])
    assert [arm.name for arm in made.for_modality("text").arms] == ["b"]


def test_every_mistake_is_named_at_once_with_line_and_column(tmp_path: Path) -> None:
    text = """\
name: mine
title: Mine
arms:
  - {name: two, set: {target.top_k: 2}}
  - {name: three, set: {target.top_q: 3}}
baseline: four
metric: {vision: kn_accuracy}
claims:
  - {id: a, says: "b", test: {kind: better, than: five}}
"""
    assert refused_file(tmp_path, text) == [
        "mine.yaml:7:10: metric.vision: must be one of accuracy, fine_tuned_accuracy, "
        "knn_accuracy, knn_accuracy_all_labels, linear_accuracy, "
        "linear_accuracy_all_labels, rankme, got 'kn_accuracy'; did you mean "
        "'knn_accuracy'?",
        "mine.yaml:5:25: arms.1.set.target.top_q: must name a setting, got "
        "'target.top_q'; did you mean 'top_k'?",
        "mine.yaml:6:1: baseline: must be one of three, two, got 'four'",
        "mine.yaml:9:45: claims.0.test.than: must be one of three, two, got 'five'",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("eval/sst_2_score", "cost/training_seconds", "train/loss", "target/std"),
        *("prediction/gain", "teacher/tau", "student/local_effective_rank"),
        "optimizer/learning_rate",
    ],
)
def test_a_metric_of_ones_own_is_any_number_that_trials_log(name: str) -> None:
    own = {"name": name, "title": "a number", "higher_is_better": False}
    made = study(metric={"vision": own})
    metric = made.metric_for("vision")
    assert metric.logged_as == name
    assert (metric.title, metric.higher_is_better) == ("a number", False)
    assert (
        metric_of("vision", made.model_dump(mode="json")["metric"]["vision"]) == metric
    )
    assert study().metric_for("vision").logged_as == "eval/linear_accuracy"


def test_reference_arms_may_have_published_numbers_beside_layers() -> None:
    values = {1: 83.0, 12: 84.0, "untrained": 10.0}
    published = {"metric": "m", "source": "read", "higher_is_better": True}
    made = study(
        axis=K_AXIS,
        reference_arms=["untrained"],
        published={"vision": {**published, "values": values}},
    )
    assert made.published["vision"].values == values


def test_reports_find_the_metric_in_the_manifest() -> None:
    from tests.reports.stores import make_manifest

    own = {"name": "cost/x", "title": "x", "higher_is_better": False}
    manifest = make_manifest(metric={"vision": own})
    assert manifest_metric(manifest).logged_as == "cost/x"
    assert manifest_metric(make_manifest()).name == "linear_accuracy"


def test_reference_arms_can_differ_by_modality() -> None:
    made = study(metric=TWO_METRICS, reference_arms={"vision": ["supervised"]})
    assert made.for_modality("vision").reference_arms == ("supervised",)
    assert made.for_modality("text").reference_arms == ()
    claim = {"kind": "better", "arm": "two", "than": "supervised"}
    lines = refused(
        metric=TWO_METRICS,
        reference_arms={"vision": ["supervised"], "sound": ["untrained"]},
        claims=[{"id": "a", "says": "b", "test": claim}],
    )
    assert lines == [
        "reference_arms.sound: must be one of text, vision, got 'sound'",
        "claims.0.test.than: must be one of three, two, got 'supervised' (arms for "
        "text)",
    ]


def test_a_recipe_has_settings_of_its_own() -> None:
    made = study(
        metric=TWO_METRICS,
        set={"target.top_k": 1},
        set_for={"vision": {"training.num_steps": 20}},
        set_at={"vision-smoke": {"training.num_steps": 30}},
        arms=[
            {"name": "recipe"},
            {
                "name": "other",
                "set": {"training.batch_size": 4},
                "set_at": {"vision-paper": {"training.batch_size": 64}},
            },
        ],
        baseline="recipe",
    )
    for scale, steps, batch in (("smoke", 30, 4), ("paper", 20, 64), (None, 20, 4)):
        vision = made.for_modality("vision", scale)
        assert vision.set == {"target.top_k": 1, "training.num_steps": steps}
        assert vision.arms[1].set == {"training.batch_size": batch}
        assert vision.for_modality("vision", scale) == vision
    text = made.for_modality("text", "smoke")
    assert text.set == {"target.top_k": 1}


@pytest.mark.parametrize(
    ("recipe", "setting", "says"),
    [
        ("speech-smoke", "target.top_k", "set_at.speech-smoke: "),
        ("smoke", "target.top_k", "set_at.smoke: "),
        ("vision-smoke", "speech.width", "set_at.vision-smoke.speech.width: must name"),
    ],
)
def test_a_recipe_of_no_modality_of_the_study_is_refused(
    recipe: str, setting: str, says: str
) -> None:
    arms = [{"name": "a"}, {"name": "b", "set": {"target.top_k": 1}}]
    found = refused(metric=TWO_METRICS, arms=arms, set_at={recipe: {setting: 1}})
    assert says in str(found)


def test_a_caption_is_of_one_recipe() -> None:
    made = study(metric=TWO_METRICS, caption={"vision-smoke": "It is tuned."})
    assert made.for_modality("vision", "smoke").caption == made.caption
    assert made.for_modality("vision", "laptop").caption == {}
    assert made.for_modality("text", "smoke").caption == {}
    assert "caption.smoke: " in str(refused(caption={"smoke": "It is tuned."}))
