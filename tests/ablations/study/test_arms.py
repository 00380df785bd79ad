"""Axes become arms, several axes a grid, and arms cells."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.library import STUDIES, read_study
from ablations.study.arms import ExpandedStudy, Request, expand, expand_named
from ablations.study.axis import Axis, axis_points, value_text
from ablations.study.published import match_published
from ablations.study.schema import Study
from d2v_core.errors import ConfigError
from tests.ablations.written import K_AXIS, refused, study

TAU = {"setting": "teacher.tau.value", "label": "tau", "values": [0.9, 0.999]}
RATE = {
    "setting": "optimizer.learning_rate",
    "label": "lr",
    "values": {"multiples_of_recipe": [1, 3]},
}
GRID: dict[str, Any] = {"axes": [K_AXIS, TAU], "set": {"teacher.tau.kind": "constant"}}


def expanded(
    *assignments: str, modality: str = "vision", **fields: Any
) -> ExpandedStudy:
    request = Request(modality, "smoke", assignments=assignments)
    return expand(study(seeds=2, **fields), request)


def labels(result: ExpandedStudy) -> list[str]:
    return [arm.label for arm in result.arms]


def test_every_value_of_one_axis_meets_every_value_of_the_others() -> None:
    grid = expanded(**GRID)
    assert labels(grid) == [
        f"K={k}, tau={tau}" for k in (2, 4, 8) for tau in (0.9, 0.999)
    ]
    assert grid.arms[1].settings == {"target.top_k": 2, "teacher.tau.value": 0.999}
    assert grid.arms[1].values == {"K": 2, "tau": 0.999}
    assert grid.arms[1].value is None
    assert len(grid.cells) == 12
    trial = grid.cells[1].trial
    assert (trial.target.top_k, trial.teacher.tau.model_dump()) == (
        2,
        {"kind": "constant", "value": 0.999},
    )


def test_all_is_the_whole_depth() -> None:
    claims = [
        {
            "id": "a",
            "says": "b",
            "test": {"kind": "better", "arm": "K=all", "than": "K=2"},
        }
    ]
    single = expanded(axis=K_AXIS, baseline="K=all", claims=claims)
    assert labels(single) == ["K=2", "K=4", "K=8"]
    assert single.study.baseline == "K=8"
    assert single.study.claims[0].arms_named() == [
        ("test.arm", "K=8"),
        ("test.than", "K=2"),
    ]
    grid = expanded(**GRID, baseline="K=all, tau=0.9")
    assert grid.study.baseline == "K=8, tau=0.9"


def test_an_axis_shrinks_to_the_value_the_user_chose() -> None:
    assert labels(expanded("target.top_k=2", axis=K_AXIS)) == ["K=2"]
    assert labels(expanded("teacher.tau.value=0.5", **GRID)) == [
        "K=2, tau=0.5",
        "K=4, tau=0.5",
        "K=8, tau=0.5",
    ]


def test_multiples_are_of_the_recipes_own_value() -> None:
    result = expanded(axis=RATE, baseline="lr=1x")
    rates = [cell.trial.optimizer.learning_rate for cell in result.cells[:2]]
    assert rates == [0.003, 0.009]
    assert [(arm.label, arm.value) for arm in result.arms] == [
        ("lr=1x", "1x"),
        ("lr=3x", "3x"),
    ]
    tripled = expanded("optimizer.learning_rate=0.1", axis=RATE)
    assert labels(tripled) == ["lr=0.1"]
    steps = {**RATE, "setting": "training.num_steps"}
    multiplied = [cell.trial.training.num_steps for cell in expanded(axis=steps).cells]
    assert multiplied[:2] == [600, 1800]


@given(st.integers(1, 10**6), st.integers(0, 10**4).map(lambda n: round(n * 0.001, 3)))
def test_multiples_have_no_rounding_noise(recipe: int, multiple: float) -> None:
    axis = Axis.model_validate({**RATE, "values": {"multiples_of_recipe": [multiple]}})
    [point] = axis_points(axis, 4, recipe / 1000)
    assert point.value == float(Fraction(str(recipe / 1000)) * Fraction(str(multiple)))
    [whole] = axis_points(axis, 4, recipe)
    exact = recipe * Fraction(str(multiple))
    assert whole.value == (exact if exact.denominator == 1 else float(exact))
    assert isinstance(whole.value, int) == (exact.denominator == 1)


def test_multiples_of_what_is_no_number_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        expanded(axis={**RATE, "setting": "teacher.context"})
    assert str(caught.value) == (
        "study mine: axis 'lr': multiples_of_recipe needs a number, teacher.context is "
        "null in the recipe"
    )


@pytest.mark.parametrize(
    ("depth", "layers"), [(4, [1, 2, 4]), (8, [1, 2, 4, 8]), (12, [*range(1, 13)])]
)
def test_smaller_encoders_have_fewer_points(depth: int, layers: list[int]) -> None:
    shares = [f"{k}/12" for k in range(1, 13)]
    values = {"fraction_of_depth": shares, "of_smaller": ["1/8", "1/4", "1/2", 1]}
    axis = Axis.model_validate({**K_AXIS, "values": values})
    assert [point.value for point in axis_points(axis, depth, 6)] == layers


@given(st.integers(1, 48), st.lists(st.fractions(0, 1), min_size=1))
def test_fractions_give_each_number_of_layers_once(
    depth: int, shares: list[Fraction]
) -> None:
    given_shares = [share for share in shares if share > 0] or [Fraction(1)]
    texts = [str(share) for share in given_shares]
    axis = Axis.model_validate({**K_AXIS, "values": {"fraction_of_depth": texts}})
    points = axis_points(axis, depth, 6)
    values = [point.value for point in points]
    assert values == sorted({max(1, round(share * depth)) for share in given_shares})
    assert all(1 <= value <= depth for value in values)
    assert [p.alias for p in points if p.alias != p.name] == ["K=all"] * (
        depth in values
    )


def test_values_are_named_as_yaml_has_them() -> None:
    assert [value_text(v) for v in (None, True, 0.001, 1, "x")] == [
        *("null", "true", "0.001", "1", "x")
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"axes": [K_AXIS]},
            "axes: must be at least two; a single one is called axis",
        ),
        (
            {"axes": [K_AXIS, {**TAU, "label": "K"}]},
            "axes.1.label: must be another word than arm, seed and than the other axes "
            "have, got 'K'",
        ),
        (
            {"axis": {**K_AXIS, "label": "seed"}},
            "axis.label: must be another word than arm, seed, got 'seed'",
        ),
        (
            {"axis": {**TAU, "label": "τ=%"}},
            "axis.label: must hold: string should match pattern '^[\\w./ -]+$', got "
            "'τ=%'",
        ),
        (
            {"axes": [TAU, {**TAU, "label": "x", "setting": "teacher.tau"}]},
            "axes.1.setting: must not be part of another axis' setting, got "
            "teacher.tau",
        ),
        (
            {"axis": {**TAU, "values": [0.9, 0.9]}},
            "axis.values: must be different values, got tau=0.9, tau=0.9",
        ),
        (
            {"axis": {**TAU, "setting": "teacher.tao"}},
            "axis.setting: must name a setting, got 'teacher.tao'; did you mean 'tau'?",
        ),
        (
            {"axis": {**RATE, "values": {"multiples_of_recipe": [-1]}}},
            "axis.values.multiples_of_recipe.0: must be greater than or equal to 0, "
            "got -1",
        ),
        (
            {**GRID, "baseline": "K=1"},
            "baseline: must be one of K=1, tau=0.9, K=1, tau=0.999, K=all, tau=0.9, "
            "K=all, tau=0.999, got 'K=1'",
        ),
    ],
)
def test_a_wrong_axis_is_refused(fields: dict[str, Any], message: str) -> None:
    lines = refused(**fields)
    assert any(line.startswith(message) for line in lines), lines


PUBLISHED = {"metric": "accuracy", "source": "read", "higher_is_better": True}


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        (GRID, {"K=2, tau=0.9": 1.0}),
        ({"axis": TAU, "set": {"teacher.tau.kind": "constant"}}, {0.999: 2.0}),
        ({"axis": RATE}, {"3x": 3.0}),
        ({}, {"two": 4.0}),
        ({"reference_arms": ["untrained"], "axis": RATE}, {"untrained": 5.0}),
    ],
)
def test_published_numbers_stand_beside_their_arm(
    fields: dict[str, Any], values: dict[Any, float]
) -> None:
    published = {"vision": {**PUBLISHED, "values": values}}
    result = expanded(**fields, published=published)
    matched = match_published(result.study, "vision", result.arms, result.depth)
    assert [value.value for value in matched.values()] == list(values.values())


@pytest.mark.parametrize(
    ("fields", "key", "message"),
    [
        ({}, "tow", "tow: must be one of three, two, got 'tow'; did you mean 'two'?"),
        ({"axis": TAU}, 0.99, "0.99: must be one of 0.9, 0.999, got 0.99"),
        ({"axis": RATE}, 3, "3: must be one of 1x, 3x, got 3"),
        ({"axis": K_AXIS}, 0, "0: must be a number of layers of the paper's encoder"),
        (GRID, "K=1", "K=1: must be one of "),
    ],
)
def test_published_numbers_of_no_arm_are_refused(
    fields: dict[str, Any], key: Any, message: str
) -> None:
    published = {"vision": {**PUBLISHED, "values": {key: 1.0}}}
    lines = refused(**fields, published=published)
    assert lines[0].startswith(f"published.vision.values.{message}")


def test_a_metric_that_is_not_measured_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        expanded(metric={"vision": "fine_tuned_accuracy"})
    assert str(caught.value) == (
        "study mine: metric.vision: fine_tuned_accuracy needs evaluation.fine_tuning, "
        "which is null in arm 'two'"
    )


def test_a_whole_section_and_a_list_can_be_set() -> None:
    arms = [
        {"name": "a", "set": {"teacher.tau": {"kind": "constant", "value": 0.5}}},
        {"name": "b", "set": {"teacher.shares": ["feature_encoder"]}},
    ]
    first, second = expanded(arms=arms).cells[:2]
    assert first.trial.teacher.tau.model_dump() == {"kind": "constant", "value": 0.5}
    assert second.trial.teacher.shares == ("feature_encoder",)


def test_only_the_modality_asked_for_is_expanded() -> None:
    arms = [
        {"name": "a"},
        {"name": "b", "set": {"text.dropout": 0.1}, "only": ["text"]},
    ]
    both = {"vision": "linear_accuracy", "text": "glue_score"}
    assert labels(expanded(metric=both, arms=arms)) == ["a"]
    assert labels(expanded(metric=both, arms=arms, modality="text")) == ["a", "b"]
    with pytest.raises(ConfigError, match="--modality: must be one of text, vision"):
        expanded(metric=both, arms=arms, modality="sound")


def test_a_study_is_neither_dumped_nor_validated_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = read_study("layer_averaging")
    modality = next(iter(file.study.metric))

    def refuse(*given: Any, **named: Any) -> None:
        raise AssertionError("the study was validated when it was read")

    for name in ("model_dump", "model_validate"):
        monkeypatch.setattr(Study, name, refuse)
    expanded = expand(file.study, Request(modality, "smoke"), file.source)
    assert len(expanded.cells) > 1


@pytest.mark.parametrize("name", sorted(path.stem for path in STUDIES.glob("*.yaml")))
def test_what_a_modality_has_of_a_study_is_a_valid_study(name: str) -> None:
    for modality in (whole := read_study(name).study).metric:
        own = whole.for_modality(modality)
        assert Study.model_validate(own.model_dump()) == own
        expanded = expand(whole, Request(modality, "smoke")).study
        assert Study.model_validate(expanded.model_dump()) == expanded


def test_cells_differ_in_their_seed_alone_and_are_valid() -> None:
    expanded = expand(study(seeds=3), Request("vision", "smoke"))
    for cell in expanded.cells:
        assert cell.trial.seed == cell.seed
        assert type(cell.trial).model_validate_json(cell.trial.model_dump_json())


def test_mistakes_of_the_study_and_of_its_arms_are_named_at_once(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\ntitle: Mine\nmetric: {vision: linear_accuracy}\n"
        "set: {training.num_steps: 0}\n"
        "axis: {setting: mask.ratio, label: ratio, values: [0.4, 1.6]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        expand_named(str(file), Request("vision", "smoke"))
    places = [line.partition(": ")[0] for line in str(caught.value).splitlines()]
    assert places == [f"{file}:4:7", f"{file}:5:43"]


def test_arms_that_turn_out_to_be_one_cannot_be_compared(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\ntitle: Mine\nmetric: {vision: linear_accuracy}\n"
        "axis: {setting: target.top_k, label: K, values: {fraction_of_depth: [1]}}\n"
        "claims:\n- {id: all, says: All is better., "
        "test: {kind: better, arm: K=8, than: K=all}}\n"
    )
    with pytest.raises(ConfigError, match=rf"{file}:6:.*another arm than arm"):
        expand_named(str(file), Request("vision", "smoke"))
