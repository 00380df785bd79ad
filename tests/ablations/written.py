"""Studies as users write them: a text, and the refusal of a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.library import read_study
from ablations.study.schema import Study
from d2v_core.config import parse_section
from d2v_core.errors import ConfigError

MINIMAL: dict[str, Any] = {
    "name": "mine",
    "title": "Mine",
    "metric": {"vision": "linear_accuracy"},
}
TWO_ARMS = [
    {"name": "two", "set": {"target.top_k": 2}},
    {"name": "three", "set": {"target.top_k": 3}},
]
K_AXIS = {
    "setting": "target.top_k",
    "label": "K",
    "values": {"fraction_of_depth": ["1/4", "1/2", 1]},
}
TWO_METRICS = {"vision": "linear_accuracy", "text": "glue_score"}


def study(**fields: Any) -> Study:
    """A valid study; two arms unless it says otherwise."""
    if not fields.keys() & {"arms", "axis", "axes"}:
        fields["arms"] = TWO_ARMS
    return parse_section(Study, {**MINIMAL, **fields})


def refused(**fields: Any) -> list[str]:
    """Why a study is refused."""
    with pytest.raises(ConfigError) as caught:
        study(**fields)
    return str(caught.value).splitlines()


def refused_file(folder: Path, text: str) -> list[str]:
    """Why a study file is refused; places without the folder."""
    file = folder / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_study(str(file))
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]
