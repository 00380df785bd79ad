"""A random forest over a search's trials: what the metric would be at other points.

Parameters that do not exist at a point get a value of their own below all others, as in
SMAC; choices are one column per value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from ablations.search.bound_space import BoundSpace, Point
from ablations.search.path import Predict
from ablations.search.space import AnyParameter, ChoiceParameter

NUM_TREES = 300
ABSENT = -1e9
"""Below every value."""


def fit_surrogate(
    bound: BoundSpace, points: Sequence[Point], values: Sequence[float], *, seed: int
) -> Predict:
    """A model of the metric.

    Args:
        bound: The space.
        points: Trials with a result, at least one.
        values: Their metric.
        seed: Seed of the forest.
    """
    forest = RandomForestRegressor(NUM_TREES, random_state=seed)
    forest.fit(_columns(bound, points), values)

    def predict(wanted: Sequence[Point]) -> Sequence[float]:
        predicted: list[float] = forest.predict(_columns(bound, wanted)).tolist()
        return predicted

    return predict


def _columns(bound: BoundSpace, points: Sequence[Point]) -> np.ndarray:
    columns = [[x for p in bound.parameters for x in _encoded(p, at)] for at in points]
    return np.array(columns)


def _encoded(parameter: AnyParameter, point: Point) -> list[float]:
    """A number, or one for each choice; a forest needs no other scale."""
    exists, value = parameter.setting in point, point.get(parameter.setting)
    if isinstance(parameter, ChoiceParameter):
        return [float(exists and value == one) for one in parameter.of]
    assert isinstance(value, float | int | None)
    return [ABSENT if value is None else float(value)]
