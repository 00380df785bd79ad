"""Parameters of a search space as Optuna's distributions, and values back and forth.

The distributions are made here and not by Ray, which drops quantisation and flips
bounds when it converts spaces of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from ablations.search.bound_space import BoundSpace, Point
from ablations.search.space import AnyParameter, ChoiceParameter, IntParameter
from ablations.study.axis import Value

TO_ONE = "1 - "
"""Begins the name of a parameter of which what is missing to 1 is drawn."""


def optuna_name(parameter: AnyParameter) -> str:
    """What Optuna, and so its dashboard, calls a parameter."""
    to_one = getattr(parameter, "spacing", "linear") == "log_to_one"
    return TO_ONE * to_one + parameter.setting


def distribution(parameter: AnyParameter) -> BaseDistribution:
    """Optuna's distribution of a parameter; bounds included."""
    if isinstance(parameter, ChoiceParameter):
        return CategoricalDistribution(parameter.of)
    log = parameter.spacing != "linear"
    if isinstance(parameter, IntParameter):
        assert isinstance(parameter.high, int)
        return IntDistribution(parameter.low, parameter.high, log=log)
    ends = (parameter.low, parameter.high)
    if parameter.spacing == "log_to_one":
        ends = (1.0 - parameter.high, 1.0 - parameter.low)
    return FloatDistribution(*ends, log=log)


def suggest(trial: Trial, bound: BoundSpace) -> Point:
    """A point drawn by an Optuna trial, parameter by parameter."""

    def choose(parameter: AnyParameter) -> Value:
        name, drawn = optuna_name(parameter), distribution(parameter)
        match drawn:
            case FloatDistribution():
                value: Any = trial.suggest_float(
                    name, drawn.low, drawn.high, log=drawn.log
                )
            case IntDistribution():
                value = trial.suggest_int(name, drawn.low, drawn.high, log=drawn.log)
            case CategoricalDistribution():
                value = trial.suggest_categorical(name, drawn.choices)
        chosen: Value = _flipped(name, value)
        return chosen

    return bound.draw(choose)


def to_optuna(bound: BoundSpace, point: Mapping[str, Value]) -> dict[str, Any]:
    """A point under Optuna's names."""
    names = {p.setting: optuna_name(p) for p in bound.parameters}
    return {
        names[setting]: _flipped(names[setting], value)
        for setting, value in point.items()
    }


def from_optuna(parameters: Mapping[str, Any]) -> Point:
    """The point of a trial of Optuna."""
    return {
        name.removeprefix(TO_ONE): _flipped(name, value)
        for name, value in parameters.items()
    }


def _flipped(name: str, value: Any) -> Any:
    """What is missing to 1; exact both ways, as values are at least a half."""
    return 1.0 - value if name.startswith(TO_ONE) else value
