"""Search spaces: what is refused, what exists where, and the path to the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.library import SpaceFile, read_space, space_names
from ablations.search.bound_space import BoundSpace, bind
from ablations.search.path import find_path, fresh_seeds, path_study, yaml_text
from ablations.search.space import EarlyStopping, SearchSpace
from ablations.study.arms import Request
from ablations.yaml_source import parse_yaml
from d2v_core.config import parse_section
from d2v_core.errors import ConfigError

K = {"setting": "target.top_k", "kind": "int", "low": 1, "high": "depth"}
RATE = {
    "setting": "optimizer.learning_rate",
    **{"kind": "float", "low": 1e-4, "high": 1e-2, "spacing": "log"},
}
TAU = [
    {"setting": "teacher.tau.kind", "kind": "choice", "of": ["horizon", "constant"]},
    {
        **{"setting": "teacher.tau.horizon", "kind": "float", "low": 0.01, "high": 1.0},
        **{"spacing": "log", "when": {"teacher.tau.kind": "horizon"}},
    },
    {
        **{"setting": "teacher.tau.value", "kind": "float", "low": 0.9, "high": 0.9999},
        **{"spacing": "log_to_one", "when": {"teacher.tau.kind": "constant"}},
    },
]


def space(*parameters: dict[str, Any], **fields: Any) -> SearchSpace:
    given = {
        "name": "mine",
        "title": "Mine",
        "metric": {"vision": "linear_accuracy"},
        "parameters": list(parameters or [K]),
    }
    return parse_section(SearchSpace, {**given, **fields})


def bound(
    *parameters: dict[str, Any], sets: tuple[str, ...] = (), **fields: Any
) -> BoundSpace:
    source = parse_yaml("name: mine", Path("mine.yaml"))
    file = SpaceFile(space(*parameters, **fields), source)
    return bind(file, Request("vision", "smoke", sets, seeds=(0,)))


def refused(*parameters: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        space(*parameters, **fields)
    return str(caught.value)


SHIPPED = [(name, m) for name in space_names() for m in read_space(name).space.metric]


@pytest.mark.parametrize(("name", "modality"), SHIPPED)
@pytest.mark.parametrize(
    "scale",
    [
        "smoke",
        *(pytest.param(s, marks=pytest.mark.thorough) for s in ("laptop", "gpu")),
    ],
)
def test_every_shipped_space_can_be_searched_at_every_scale(name, modality, scale):
    request = Request(modality, scale, seeds=(0,), data_root="/anywhere")
    assert bind(read_space(name), request).paper


def test_the_first_line_of_a_shipped_space_is_its_command():
    assert len(space_names()) >= 2
    for name in space_names():
        first = read_space(name).source.file.read_text().splitlines()[0]
        assert first.startswith(f"# d2v search {name}")


def test_a_mistake_is_named_with_its_place(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\ntitle: Mine\nmetric: {vision: knn_accuracy}\nparameters:\n"
        "  - {setting: target.topk, kind: int, low: 1, high: 3}\n"
        "  - {setting: mask.ratio, kind: float, low: 0.8, high: 0.2}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_space(str(file))
    assert str(caught.value).splitlines() == [
        f"{file}:3:10: metric.vision: must be one of fine_tuned_accuracy, "
        "linear_accuracy, got 'knn_accuracy'; did you mean 'linear_accuracy'?; others "
        "have no number on the validation split to select by",
        f"{file}:5:6: parameters.0.setting: must name a setting, got 'target.topk'; "
        "did you mean 'top_k'? (vision)",
        f"{file}:6:50: parameters.1.high: must be above low (0.8), got 0.2",
    ]


@pytest.mark.parametrize(
    ("parameters", "fields", "message"),
    [
        ([K, K], {}, "'target.top_k' stands twice for vision"),
        ([{**K, "setting": "seed"}], {}, "must not be below seed, modality"),
        ([{**K, "setting": "execution.num_threads"}], {}, "must not be below seed"),
        ([K], {"set": {"target.top_k": 2}}, "is fixed by set; keep one"),
        ([{**RATE, "low": 0.0}], {}, "must be above 0 for spacing log, got 0.0"),
        ([{**TAU[2], "when": {}, "high": 1.0}], {}, "from 0.5 to below 1"),
        ([TAU[1], TAU[0]], {}, "must stand before the parameter that depends"),
        (
            [TAU[0], {**TAU[1], "when": {"teacher.tau.kind": "cosine"}}],
            {},
            "must be one of constant, horizon, got 'cosine'",
        ),
        (
            [K],
            {"cost": "flops", "early_stopping": {}},
            "ASHA compares one number: leave out either early_stopping or cost",
        ),
        ([{**TAU[0], "of": ["horizon", "horizon"]}], {}, "must be different values"),
    ],
)
def test_what_cannot_be_searched_is_refused(parameters, fields, message):
    assert message in refused(*parameters, **fields)


def test_a_bound_that_makes_an_impossible_trial_is_refused_before_anything_starts():
    with pytest.raises(ConfigError) as caught:
        bound({**K, "high": 10})
    assert str(caught.value) == (
        "mine.yaml:1:1: target.top_k = 10: must be at most the encoder's depth (8), "
        "got 10"
    )


def test_the_papers_setting_must_lie_inside():
    with pytest.raises(ConfigError) as caught:
        bound({**RATE, "high": 2e-3})
    assert "must include the recipe's own value" in str(caught.value)
    assert "the recipe has 0.003, where the search begins" in str(caught.value)
    with pytest.raises(ConfigError, match="the recipe has 100"):
        bound(
            {
                **{"setting": "teacher.tau.anneal", "kind": "float"},
                **{"low": 0.1, "high": 1.0},
            },
            sets=("teacher.tau={kind: linear, anneal: 100}",),
        )


def test_the_search_begins_with_the_recipe():
    searched = bound(K, RATE, *TAU)
    assert searched.paper == {
        "target.top_k": 8,
        "optimizer.learning_rate": 3e-3,
        "teacher.tau.kind": "horizon",
        "teacher.tau.horizon": 0.03,
    }
    assert searched.trial(searched.paper) == searched.base
    assert searched.parameters[0].high == 8


def test_a_parameter_exists_only_where_its_condition_holds():
    searched = bound(*TAU)
    constant = searched.draw(
        lambda p: "constant" if p.setting == "teacher.tau.kind" else 0.99
    )
    assert constant == {"teacher.tau.kind": "constant", "teacher.tau.value": 0.99}
    tau = searched.trial(constant).teacher.tau
    assert (tau.kind, tau.value) == ("constant", 0.99)


def test_what_the_user_sets_is_no_longer_searched():
    searched = bound(K, *TAU, sets=("teacher.tau.kind=constant", "target.top_k=2"))
    assert [p.setting for p in searched.parameters] == ["teacher.tau.value"]
    with pytest.raises(ConfigError, match="nothing is left to search"):
        bound(K, sets=("target.top_k=2",))


def test_probes_come_at_the_rungs_of_successive_halving():
    assert EarlyStopping().probe_at == (1 / 3,)
    rungs = EarlyStopping(reduction_factor=4, rungs=3).probe_at
    assert rungs == (1 / 64, 1 / 16, 1 / 4)
    searched = bound(K, early_stopping={"rungs": 2})
    assert searched.base.execution.probe_at == pytest.approx((1 / 9, 1 / 3))


def gain(point: dict[str, Any]) -> float:
    """A known function: the kind of tau is worth most, K less, the rate harms."""
    tau = {"horizon": 0.0, "constant": 10.0}[point["teacher.tau.kind"]]
    rate = 1.0 if point["optimizer.learning_rate"] == 3e-3 else 0.0
    return tau + 3.0 * (point["target.top_k"] == 1) + rate


def test_the_path_takes_the_most_promising_change_first_and_ends_at_the_best():
    searched = bound(K, RATE, *TAU)
    best = {
        "target.top_k": 1,
        "optimizer.learning_rate": 1e-3,
        "teacher.tau.kind": "constant",
        "teacher.tau.value": 0.99,
    }
    steps = find_path(searched, best, lambda points: [gain(p) for p in points])
    assert [step.label for step in steps] == [
        "+ tau.kind = constant, tau.value = 0.99",
        "+ target.top_k = 1",
        "+ optimizer.learning_rate = 0.001",
    ]
    assert [step.predicted for step in steps] == [11.0, 14.0, 13.0]
    assert steps[-1].point == best
    assert find_path(searched, searched.paper, lambda points: [0.0]) == []


def test_the_path_is_a_study_that_can_be_written_and_read(tmp_path):
    from ablations.library import read_study
    from ablations.study.arms import expand

    searched = bound(K, RATE, set={"training.num_steps": 8})
    best = {"target.top_k": 1, "optimizer.learning_rate": 1e-3}
    steps = find_path(searched, best, lambda points: [0.0] * len(points))
    study = path_study(searched, steps)
    file = tmp_path / "path.yaml"
    written = study.model_dump(mode="json", exclude_unset=True)
    file.write_text(yaml_text(written, "d2v run path.yaml"))
    read = read_study(str(file)).study
    assert read == study
    assert read.seed_list() == tuple(fresh_seeds(searched, 6)) == (1, 2, 3, 4, 5, 6)
    cells = expand(read, Request("vision", "smoke", seeds=(0,))).cells
    trials = [cell.trial for cell in cells]
    assert trials[0] == searched.base
    assert trials[-1] == searched.trial(best)


def test_a_cost_only_matters_where_it_is_asked_for():
    assert space(K).cost is None
    assert "must be one of flops, training_seconds, got 'money'" in refused(
        K, cost="money"
    )
