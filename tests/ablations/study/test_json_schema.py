"""Editors know every field and every setting, and accept what we accept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ablations.layers import check_setting
from ablations.library import STUDIES, study_names
from ablations.study.json_schema import study_schema
from ablations.yaml_source import read_yaml
from d2v_core.config import TRIAL_TYPES
from tests.ablations.written import K_AXIS, MINIMAL, TWO_ARMS


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return study_schema()


def as_json(file: Path) -> Any:
    return json.loads(json.dumps(read_yaml(file).data))


def errors(schema: dict[str, Any], **fields: Any) -> list[str]:
    data = {**MINIMAL, "arms": TWO_ARMS, **fields}
    given = {key: value for key, value in data.items() if value is not ...}
    found = Draft202012Validator(schema).iter_errors(given)
    return [".".join(map(str, error.path)) for error in found]


def test_it_is_a_json_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("name", study_names())
def test_every_shipped_study_is_valid(schema: dict[str, Any], name: str) -> None:
    Draft202012Validator(schema).validate(as_json(STUDIES / f"{name}.yaml"))


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"titel": "x"}, ""),
        ({"title": ...}, ""),
        ({"axis": K_AXIS}, ""),
        ({"arms": ...}, ""),
        ({"set": {"target.topk": 3}}, "set"),
        ({"set": {"target.top_k": 0}}, "set.target.top_k"),
        ({"set": {"seed": 1}}, "set"),
        ({"set_for": {"text": {"vision.width": 8}}}, "set_for.text"),
        ({"set": {"target.feature": "fnn"}}, "set.target.feature"),
        ({"metric": {"vision": "accurate"}}, "metric.vision"),
        ({"metric": {"sound": "linear_accuracy"}}, "metric"),
        (
            {"metric": {"text": {"name": "x", "title": "x", "higher_is_better": True}}},
            "metric.text",
        ),
        ({"arms": [{"name": "a", "only": ["sound"]}]}, "arms.0.only.0"),
        (
            {"arms": ..., "axis": {**K_AXIS, "setting": "target.topk"}},
            "axis",
        ),
        (
            {"claims": [{"id": "a", "says": "b", "test": {"than": "two"}}]},
            "claims.0.test",
        ),
    ],
)
def test_mistakes_are_marked_where_they_stand(
    schema: dict[str, Any], fields: dict[str, Any], where: str
) -> None:
    found = errors(schema, **fields)
    assert found
    assert all(place.startswith(where) for place in found)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"set": {"teacher.context": None, "teacher.shares": ["positions"]}},
        {"set": {"teacher.tau": {"kind": "constant", "value": 0.5}}},
        {"arms": ..., "axis": K_AXIS, "baseline": "K=1", "seeds": [3, 5]},
        {
            "metric": {
                "vision": {"name": "cost/x", "title": "x", "higher_is_better": True},
                "text": {"name": "train/x", "title": "x", "higher_is_better": True},
            }
        },
    ],
)
def test_what_is_right_is_accepted(
    schema: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert errors(schema, **fields) == []


def test_every_setting_is_there_with_its_description(schema: dict[str, Any]) -> None:
    settings = schema["$defs"]["Settings"]["properties"]
    for path in settings:
        assert any(check_setting(m, path) is None for m in TRIAL_TYPES), path
    undescribed = [
        path
        for path, setting in settings.items()
        if not all(s.get("description") for s in setting.get("anyOf", [setting]))
        and not setting.get("description")
    ]
    assert undescribed == []
    assert settings["target.top_k"]["description"].startswith("K, the number of top")
    kinds = {choice["const"] for choice in settings["loss.kind"]["anyOf"]}
    assert kinds == {"l1", "l2", "smooth_l1"}


def test_every_field_is_described(schema: dict[str, Any]) -> None:
    parts = {"Study": schema, **schema["$defs"]}
    ours = {
        name: part
        for name, part in parts.items()
        if not name.startswith("Setting") and "properties" in part
    }
    assert {"Study", "Claim"} <= ours.keys()
    for name, part in ours.items():
        for field, described in part["properties"].items():
            assert described.get("description") or "const" in described, (name, field)
