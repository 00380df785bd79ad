"""The schema of a search space: which settings a search may change, and how.

A space says what varies and in which bounds, which metric counts and whether hopeless
trials are stopped early. Recipes say everything else, and where the search begins.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ablations.layers import check_setting
from ablations.metrics import METRICS, Metric
from ablations.study.axis import MAX_PATH, Value
from ablations.study.fields import MAX_NAME, MAX_SENTENCE, STUDY_NAME, Settings
from d2v_core.config import TRIAL_TYPES, Section
from d2v_core.config.bounds import MAX_FACTOR, MAX_ITEMS, MAX_SAMPLES
from d2v_core.config.parsing import one_of
from d2v_core.errors import Problem

MAX_TRIALS = 10_000
"""Trials of one search, whatever the space or the command says."""
MAX_PARAMETERS = 100
DEPTH = "depth"
"""Stands for the depth of the encoder, as an upper bound."""
NOT_SELECTING = "; others have no number on the validation split to select by"
NOT_SEARCHED = ("seed", "modality", "execution", "data", "evaluation", "objective")
"""Settings that do not change what is learned, or change what is measured."""


class Parameter(Section):
    """What all kinds of parameters have."""

    setting: str = Field(max_length=MAX_PATH)
    """Dotted path of the setting."""
    when: dict[str, Value] = {}
    """Other settings and the values they must have for this one to exist: parameters
    that stand earlier, or settings of the recipe (``modality: vision``)."""


class FloatParameter(Parameter):
    """A number between two bounds, both included."""

    kind: Literal["float"]
    low: float = Field(ge=-MAX_FACTOR, le=MAX_FACTOR)
    """Smallest value."""
    high: float = Field(ge=-MAX_FACTOR, le=MAX_FACTOR)
    """Largest value."""
    spacing: Literal["linear", "log", "log_to_one"] = "linear"
    """What is drawn evenly: the value, its logarithm, or the logarithm of what is
    missing to 1 (for a tau: 0.99, 0.999 and 0.9999 are equally far apart)."""


class IntParameter(Parameter):
    """A whole number between two bounds, both included."""

    kind: Literal["int"]
    low: int = Field(ge=-MAX_SAMPLES, le=MAX_SAMPLES)
    """Smallest value."""
    high: Annotated[int, Field(ge=-MAX_SAMPLES, le=MAX_SAMPLES)] | Literal["depth"]
    """Largest value; ``depth``: the number of blocks of the encoder."""
    spacing: Literal["linear", "log"] = "linear"
    """What is drawn evenly: the value or its logarithm."""


class ChoiceParameter(Parameter):
    """One of several values without an order."""

    kind: Literal["choice"]
    of: Annotated[
        tuple[Value, ...], Field(strict=False, min_length=2, max_length=MAX_ITEMS)
    ]
    """The values."""


AnyParameter = Annotated[
    FloatParameter | IntParameter | ChoiceParameter, Field(discriminator="kind")
]


class EarlyStopping(Section):
    """Asynchronous successive halving (ASHA, arXiv 1810.05934) on validation probes.

    The encoder is probed when 1/f, 1/f^2 ... of the training are done (f: the reduction
    factor), and goes on if it is in the best 1/f of all that came as far.
    """

    reduction_factor: int = Field(3, ge=2, le=100)
    """The best one in so many goes on."""
    rungs: int = Field(1, ge=1, le=4)
    """How often a trial is probed."""

    @property
    def probe_at(self) -> tuple[float, ...]:
        """Shares of the training, in the very arithmetic of Ray's scheduler."""
        first = float(self.reduction_factor) ** -self.rungs
        return tuple(first * self.reduction_factor**k for k in range(self.rungs))


class SearchSpace(Section):
    """What a search looks for, and where."""

    name: str = Field(pattern=STUDY_NAME, max_length=MAX_NAME - len("_search"))
    """Begins the names of the search, its experiment and its ablation path."""
    title: str = Field(min_length=1, max_length=MAX_SENTENCE)
    """Title, for people."""
    metric: dict[str, str] = Field(min_length=1)
    """The metric of each modality the space has. Its number on the validation split is
    what the search sees."""
    cost: Literal["training_seconds", "flops"] | None = None
    """A second objective to be small: measured seconds, or counted operations. The
    search then looks for all trade-offs, and no trial is stopped early."""
    trials: int = Field(30, ge=1, le=MAX_TRIALS)
    """How many trials, unless the command says otherwise."""
    early_stopping: EarlyStopping | None = None
    """When to give a trial up; null: never."""
    set: Settings = {}
    """Overrides of the recipe common to all trials."""
    parameters: Annotated[
        tuple[AnyParameter, ...],
        Field(strict=False, min_length=1, max_length=MAX_PARAMETERS),
    ]
    """What varies."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if problems := check_space(self):
            raise PydanticCustomError(
                "across_sections",
                "{count} rules are broken",
                {"count": len(problems), "problems": problems},
            )
        return self

    def metric_for(self, modality: str) -> Metric:
        """The metric that counts."""
        return METRICS[modality][self.metric[modality]]


def check_space(space: SearchSpace) -> list[Problem]:
    """Every broken rule that spans fields."""
    problems = _check_metrics(space)
    if space.cost and space.early_stopping:
        requirement = (
            "ASHA compares one number: leave out either early_stopping or cost"
        )
        problems.append(Problem("early_stopping", requirement))
    for i, parameter in enumerate(space.parameters):
        problems += _check_bounds(parameter, f"parameters.{i}")
        problems += _check_setting(space, i)
        problems += _check_conditions(space, i)
    return problems


def _check_metrics(space: SearchSpace) -> list[Problem]:
    problems = []
    for modality, name in space.metric.items():
        place = f"metric.{modality}"
        if modality not in METRICS:
            problems.append(Problem(place, one_of(METRICS, modality)))
            continue
        usable = [m.name for m in METRICS[modality].values() if m.validation]
        if name not in usable:
            problems.append(Problem(place, f"{one_of(usable, name)}{NOT_SELECTING}"))
    return problems


def _check_bounds(parameter: AnyParameter, place: str) -> list[Problem]:
    if isinstance(parameter, ChoiceParameter):
        shown = [repr(value) for value in parameter.of]
        if len(set(shown)) == len(shown):
            return []
        requirement = f"must be different values, got {', '.join(shown)}"
        return [Problem(f"{place}.of", requirement)]
    low, high, spacing = parameter.low, parameter.high, parameter.spacing
    if not isinstance(high, str) and not low < high:
        return [Problem(f"{place}.high", f"must be above low ({low}), got {high}")]
    if spacing == "log" and low <= 0:
        return [Problem(f"{place}.low", f"must be above 0 for spacing log, got {low}")]
    if spacing == "log_to_one" and not 0.5 <= low < float(high) < 1.0:
        requirement = "must be from 0.5 to below 1 for spacing log_to_one"
        wrong = "low" if low < 0.5 else "high"
        return [
            Problem(
                f"{place}.{wrong}", f"{requirement}, got {getattr(parameter, wrong)}"
            )
        ]
    return []


def _check_setting(space: SearchSpace, i: int) -> list[Problem]:
    parameter, place = space.parameters[i], f"parameters.{i}.setting"
    setting, problems = parameter.setting, list[Problem]()
    for modality in _modalities(space, parameter):
        twins = [p for p in space.parameters[:i] if p.setting == setting]
        if any(modality in _modalities(space, twin) for twin in twins):
            requirement = f"must be unique, {setting!r} stands twice for {modality}"
            problems.append(Problem(place, requirement))
    if setting.partition(".")[0] in NOT_SEARCHED:
        requirement = f"must not be below {', '.join(NOT_SEARCHED)}, got {setting!r}"
        return [*problems, Problem(place, requirement)]
    if setting in space.set:
        problems.append(Problem(place, f"{setting!r} is fixed by set; keep one"))
    for modality in _modalities(space, parameter):
        unknown = check_setting(modality, setting)
        if unknown is not None:
            problems.append(Problem(place, f"{unknown.message} ({modality})"))
    return problems


def _check_conditions(space: SearchSpace, i: int) -> list[Problem]:
    problems = []
    later = {other.setting for other in space.parameters[i:]}
    earlier = {other.setting: other for other in space.parameters[:i]}
    for setting, value in space.parameters[i].when.items():
        place = f"parameters.{i}.when.{setting}"
        if setting in later:
            requirement = "must stand before the parameter that depends on it"
            problems.append(Problem(place, requirement))
        gate = earlier.get(setting)
        if isinstance(gate, ChoiceParameter) and value not in gate.of:
            problems.append(Problem(place, one_of(map(str, gate.of), value)))
    return problems


def _modalities(space: SearchSpace, parameter: Parameter) -> list[str]:
    """Those in which a parameter exists."""
    wanted = parameter.when.get("modality")
    known = [modality for modality in space.metric if modality in TRIAL_TYPES]
    return [modality for modality in known if wanted in (None, modality)]
