"""Failed tries stay on their trial, each once, however many there are."""

from __future__ import annotations

import json
from typing import Any

from ablations.mlflow_names import LOST_METRIC, TAG_LENGTH
from ablations.record import Record
from sweeps.tracking.labels import with_try


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
