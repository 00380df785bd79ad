"""The ablation path: from the paper's setting to the best found, one change at a time.

Fawcett and Hoos, "Analysing differences between algorithm configurations through
ablation", Journal of Heuristics 2016: at each step the change that gains most is taken.
As in DeepCAVE, a model predicts the gains, so the order costs no training; what each
step is worth is then measured by an ordinary study.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ruamel.yaml import YAML

from ablations.search.bound_space import BoundSpace, Point
from ablations.study.axis import Value
from ablations.study.schema import Study

PAPER = "paper's setting"
MOST_SETTINGS_NAMED = 3


@dataclass(frozen=True)
class Step:
    """One change of the path.

    Attributes:
        label: ``+ top_k = 2``.
        point: Everything up to and including this change.
        predicted: The metric the model expects there.
    """

    label: str
    point: Point
    predicted: float


Predict = Callable[[Sequence[Point]], Sequence[float]]
"""The metric at points."""


def find_path(bound: BoundSpace, best: Point, predict: Predict) -> list[Step]:
    """All changes from the paper's setting to ``best``, the most promising first.

    A setting that other parameters depend on takes these along.

    Args:
        bound: The space.
        best: Where the path ends.
        predict: A model of the metric.
    """
    current, steps = bound.paper, list[Step]()
    sign = 1.0 if bound.metric.higher_is_better else -1.0
    while candidates := _changed_points(bound, current, best):
        predictions = predict(candidates)
        chosen = max(range(len(candidates)), key=lambda i: sign * predictions[i])
        point = candidates[chosen]
        label = _label(bound, current, point)
        steps.append(Step(label, point, float(predictions[chosen])))
        current = point
    return steps


def _changed_points(bound: BoundSpace, current: Point, best: Point) -> list[Point]:
    """The current point with each one of the parameters as in the best."""
    points: list[Point] = []
    for parameter in bound.parameters:
        setting = parameter.setting
        if setting not in best or current.get(setting, ...) == best[setting]:
            continue
        point = bound.consistent({setting: best[setting]}, current, best)
        if point.get(setting, ...) == best[setting] and point != current:
            points.append(point)
    return points


def _label(bound: BoundSpace, before: Point, after: Point) -> str:
    """What changed, for a row of a table."""
    names = bound.short_names()
    changed = [
        f"{names[setting]} = {shown(value)}"
        for setting, value in after.items()
        if before.get(setting, ...) != value
    ]
    more = len(changed) - MOST_SETTINGS_NAMED
    return f"+ {', '.join(changed[:MOST_SETTINGS_NAMED])}{' …' * (more > 0)}"


def shown(value: Value) -> str:
    """A value with as many digits as people need."""
    if isinstance(value, float):
        near_one = 0.9 < value < 1.0
        return f"{1 - (1 - value):.6f}".rstrip("0") if near_one else f"{value:.4g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def path_study(bound: BoundSpace, steps: Sequence[Step]) -> Study:
    """The path as a study: an arm for each step, each with all changes before it."""
    space, modality = bound.space, bound.request.modality
    arms = [{"name": PAPER, "set": {}}]
    arms += [{"name": step.label, "set": bound.overrides(step.point)} for step in steps]
    gain = {
        "id": "search-paid-off",
        "says": "The best setting found is better than the paper's.",
        "test": {"kind": "better", "arm": steps[-1].label, "than": PAPER},
    }
    return Study.model_validate(
        {
            "name": f"{space.name}_path",
            "title": f"From the paper's setting to the best of {space.name}",
            "hypothesis": "Each row adds one change to the row above; the changes were "
            "put in the order of the gains a model of the search's trials predicts.",
            "arms": arms,
            "baseline": PAPER,
            "seeds": fresh_seeds(bound, 6),
            "metric": {modality: space.metric[modality]},
            "set": dict(space.set),
            "claims": [gain],
        }
    )


def fresh_seeds(bound: BoundSpace, count: int) -> list[int]:
    """Seeds the search has not seen: on its own seed the best looks too good."""
    first = bound.base.seed + 1
    return list(range(first, first + count))


def yaml_text(data: Mapping[str, object], header: str) -> str:
    """Plain data as a YAML file that opens with a comment."""
    buffer = io.StringIO()
    yaml = YAML()
    yaml.width = 88
    yaml.dump(dict(data), buffer)
    return f"# {header}\n{buffer.getvalue()}"
