"""Every number, length and depth that a user gives has a bound, and a message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import annotated_types
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ablations.layers import parse_assignments
from ablations.library import load_study, read_study
from ablations.search.space import SearchSpace
from ablations.study.arms import Request, expand
from ablations.study.schema import Study
from ablations.yaml_source import MAX_BYTES, parse_yaml
from d2v_core.config import TRIAL_TYPES
from d2v_core.config.base import sections_in
from d2v_core.errors import ConfigError

UPPER = (annotated_types.Le, annotated_types.Lt)
FREE = {"Axis.values", "Study.seeds", "Published.values"}
"""Values of any setting, which has its bound; seeds are counted; keys are names."""


def models(*roots: type[BaseModel]) -> Iterator[type[BaseModel]]:
    seen: set[type[BaseModel]] = set()
    waiting = list(roots)
    while waiting:
        if (model := waiting.pop()) in seen:
            continue
        seen.add(model)
        yield model
        for field in model.model_fields.values():
            waiting += sections_in(field.annotation)


def unbounded(annotation: Any, metadata: list[Any]) -> bool:
    """Whether a number somewhere in an annotation has no upper bound."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        flat = [m for one in more for m in getattr(one, "metadata", [one])]
        return unbounded(inner, [*metadata, *flat])
    if annotation in (int, float):
        return not any(isinstance(one, UPPER) for one in metadata)
    if get_origin(annotation) in (tuple, dict):
        return any(unbounded(part, []) for part in get_args(annotation))
    return any(unbounded(part, metadata) for part in get_args(annotation))


def test_every_number_of_the_schema_has_an_upper_bound() -> None:
    fields: dict[str, FieldInfo] = {
        f"{model.__name__}.{name}": field
        for model in models(*TRIAL_TYPES.values(), Study, SearchSpace)
        for name, field in model.model_fields.items()
    }
    numbers = [
        name for name, f in fields.items() if unbounded(f.annotation, list(f.metadata))
    ]
    values = {name for name in numbers if name.endswith((".when", ".of"))}
    assert set(numbers) - values <= FREE
    assert len(fields) > 150


def bomb(depth: int = 9, width: int = 9) -> str:
    lines = ['l0: &l0 ["lol"]']
    for i in range(1, depth):
        lines.append(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * width)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (bomb(), "must hold at most 50,000 values, aliases counted each time"),
        ("x: " + "[" * 2_000, "lists and mappings must be at most 40 deep"),
        ("x: " + "[" * 3_000 + "]" * 3_000, "must be at most 40 deep"),
        ("x: " + "{a: " * 300, "must be at most 40 deep"),
        ("x: '" + "y" * 20_000 + "'", "a text must have at most 10,000 characters"),
        ("x: " + "9" * 30, "a whole number must be at most 9223372036854775807"),
        ("x: 0x" + "f" * 5_000, "a whole number must be at most"),
        ("x: 1e400", "a number must be finite, got 1e400"),
        ("x: .nan", "a number must be finite, got .nan"),
        ("# " + "x" * MAX_BYTES, "must have at most 200,000 bytes"),
    ],
)
def test_a_text_that_costs_more_is_refused_in_a_moment(text: str, rule: str) -> None:
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, Path("study.yaml"))
    assert time.process_time() - began < 5.0
    assert rule in str(caught.value)
    assert str(caught.value).startswith("study.yaml")
    assert len(str(caught.value)) < 500


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must have at most 200,000 bytes"):
        read_study("/dev/zero")
    (tmp_path / "x.yaml").write_bytes(b"x" + b"\xc3\xa9" * 200_000)  # cut in a letter
    with pytest.raises(ConfigError, match="must have at most 200,000 bytes"):
        read_study(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize(
    ("seeds", "rule"),
    [
        ("100000000", "seeds: must be at most 10,000 seeds, got 100,000,000"),
        ("10000000000000000000", "a whole number must be at most"),
        (str(list(range(10_001))), "seeds: must be at most 10,000 seeds, got 10,001"),
    ],
    ids=["a large number", "no machine number", "a long list"],
)
def test_seeds_are_counted_before_they_are_made(
    tmp_path: Path, seeds: str, rule: str
) -> None:
    file = tmp_path / "mine.yaml"
    axis = "axis: {setting: mask.ratio, label: r, values: [0.4, 0.6]}"
    metric = "metric: {vision: linear_accuracy}"
    file.write_text(f"name: mine\ntitle: t\n{axis}\nseeds: {seeds}\n{metric}\n")
    with pytest.raises(ConfigError) as caught:
        read_study(str(file))
    assert f"{file}:4:" in str(caught.value)
    assert rule in str(caught.value)


def test_a_grid_is_counted_before_it_is_made(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    settings = ("mask.ratio", "optimizer.beta1", "optimizer.beta2", "head.depth")
    values = [[0.1 + 0.1 * i for i in range(8)]] * 3 + [[1, 2, 3, 4]]
    axes = "".join(
        f"  - {{setting: {s}, label: {s[-5:]}, values: {v}}}\n"
        for s, v in zip(settings, values, strict=True)
    )
    metric = "metric: {vision: linear_accuracy}"
    file.write_text(f"name: mine\ntitle: t\naxes:\n{axes}seeds: 1\n{metric}\n")
    read = read_study(str(file))
    with pytest.raises(ConfigError, match=r"got 2,048 arms x 1 seeds"):
        expand(read.study, Request("vision", "smoke"), read.source)
    study = load_study("layer_averaging")
    with pytest.raises(ConfigError, match=r"20,000 cells, got \d arms x 9,000 seeds"):
        expand(study, Request("vision", "smoke", seeds=tuple(range(9_000))))


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("2024-11-31", "2024-11-31"),
        ("2024-01-01", "2024-01-01"),
        ("007", "007"),
        ("[x", "[x"),
        ("true", "true"),
        ("a: b # c", "a: b # c"),
        ("'2024'", "2024"),
        ('"a b"', "a b"),
        ("null", None),
        ("", None),
    ],
)
def test_a_text_setting_takes_what_was_typed(typed: str, value: str | None) -> None:
    found = parse_assignments([f"data.folder={typed}"], "vision")
    assert found == {"data.folder": value}
