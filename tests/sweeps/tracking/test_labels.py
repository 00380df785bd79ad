"""What runs are called; failed tries stay on their trial, each once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ablations.metrics import METRICS
from ablations.mlflow_names import LOST_METRIC, TAG_LENGTH
from ablations.record import Record
from ablations.study.arms import Request, expand_named
from sweeps.tracking.labels import (
    CODE_LENGTH,
    arm_code,
    outcome_text,
    with_outcome,
    with_try,
)


def failed(**changes: Any) -> Record:
    same: dict[str, Any] = {
        **{"key": "k", "status": "failed", "reason": "it broke", "seed": 0, "steps": 2},
        **{"num_parameters": 1, "metrics": {LOST_METRIC: 1.5}, "environment": {}},
        **{"data_name": "digits", "data_digest": "0" * 16},
    }
    return Record(**{**same, **changes})


def test_a_try_is_added_once() -> None:
    first = with_try(None, failed(), 1_000)
    assert with_try(first, failed(), 1_000) == first  # the write was made again
    second = with_try(first, failed(status="diverged", metrics={}), 2_000)
    assert json.loads(second) == [
        {"status": "failed", "reason": "it broke", "seconds": 1.5, "ended": 1_000},
        {"status": "diverged", "reason": "it broke", "ended": 2_000},
    ]


def test_dozens_of_tries_fit_into_a_tag_at_the_cost_of_reasons() -> None:
    text = None
    for number in range(1, 61):
        text = with_try(text, failed(reason="x" * 1_000), number)
        assert len(text) <= TAG_LENGTH
    assert text is not None
    assert len(json.loads(text)) == 60


def codes(labels: list[str]) -> list[str]:
    return [arm_code(label, labels) for label in labels]


def test_a_code_is_a_number_and_how_the_arm_begins() -> None:
    assert codes(["K=1", "inverse, B=1", "1 %"]) == ["A1 K=1", "A2 inverse", "A3 1 %"]
    grid = [f"lr={i}x, warm-up=1x" for i in range(12)]
    assert codes(grid)[0] == "A01 lr=0x"
    assert codes(grid)[-1] == "A12 lr=11x"
    assert arm_code("trial 12", ["paper"]) == "trial 12"  # of a search


@pytest.mark.parametrize("study", ["collapse", "loss"])
def test_mlflow_neither_cuts_nor_merges_the_codes_and_sorts_them_as_they_are(
    study: str,
) -> None:
    """Its Compare page draws ten characters, in the order of their sorting."""
    arms = expand_named(study, Request("vision", "smoke")).arms
    labels = [arm.label for arm in arms]
    assert len({label[:CODE_LENGTH] for label in labels}) < len(labels)
    drawn = codes(labels)
    assert all(len(code) <= CODE_LENGTH for code in drawn)
    assert sorted(set(drawn)) == drawn


def test_2000_arms_have_codes_too() -> None:
    drawn = codes([f"a long name that all share {i}" for i in range(2_000)])
    assert sorted(set(drawn)) == drawn
    assert max(map(len, drawn)) <= CODE_LENGTH


def test_a_note_ends_with_the_last_outcome() -> None:
    metric = METRICS["vision"]["linear_accuracy"]
    broke = with_outcome("**K=1**, seed 0", outcome_text(failed(), metric))
    assert broke == "**K=1**, seed 0 – outcome: failed: it broke"
    scores = {metric.logged_as: 61.254}
    done = failed(status="finished", reason="", metrics=scores)
    text = outcome_text(done, metric)
    assert with_outcome(broke, text) == f"**K=1**, seed 0 – outcome: {text}"
    assert text == f"finished, {metric.title} 61.25"
