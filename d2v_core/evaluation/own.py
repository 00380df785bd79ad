"""Metrics of the user's own, of the features of one split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from d2v_core.config.own import reference_in
from d2v_core.config.trial import TrialConfig
from d2v_core.own.kinds import METRIC
from d2v_core.own.loading import own, tried

OwnMetric = Callable[[np.ndarray, np.ndarray], float]
"""Number from features (samples, dim), float32, and labels (samples,), int64."""


def own_metrics(trial: TrialConfig, given: Iterable[str]) -> Mapping[str, OwnMetric]:
    """The metrics by the name they are logged under, ``eval/own_<function>``.

    Each is tried on 40 random samples of four classes.

    Raises:
        ConfigError: One cannot be used.
    """
    draws = np.random.default_rng(0)
    example = draws.normal(size=(40, 16)).astype(np.float32), np.arange(40) % 4
    functions: dict[str, OwnMetric] = {}
    for one in given:
        reference, path = reference_in(one), "evaluation.metrics"
        assert reference is not None
        measure = partial(_measured, own(trial, path, METRIC, one))
        tried(path, METRIC, one, partial(measure, *example))
        functions[f"eval/own_{reference.name}"] = measure
    return functions


def measured(
    metrics: Mapping[str, OwnMetric] | None, features: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Every metric of some features, by its name.

    Args:
        metrics: As :func:`own_metrics` gives them; None: there are none.
        features: Features of shape (samples, dim).
        labels: Class indices; zeros where there are no labels.
    """
    return {name: one(features, labels) for name, one in (metrics or {}).items()}


def _measured(
    function: Callable[..., Any], features: np.ndarray, labels: np.ndarray
) -> float:
    """What a function gives for a copy of the features.

    Raises:
        ValueError: It is no finite number.
    """
    value = float(function(features.copy(), labels.copy()))
    if not math.isfinite(value):
        raise ValueError(f"gave {value}")
    return value
