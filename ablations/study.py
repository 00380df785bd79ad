"""The schema of a study: one table or figure, as data.

A study says which settings vary (an axis or named arms), over which seeds, which metric
counts, and what the paper reports. Recipes say everything else.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from ablations.layers import check_setting
from ablations.metrics import METRICS
from d2v_core.config import Section
from d2v_core.config.parsing import one_of
from d2v_core.errors import Problem

ReferenceArm = Literal["untrained", "supervised"]
Value = str | int | float | bool | None


def _fraction(value: Any) -> Any:
    """``"1/12"`` or a number, as a share in (0, 1]."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"must be a fraction like 1/12, got {value!r}")
    try:
        share = Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"must be a fraction like 1/12, got {value!r}") from None
    if not 0 < share <= 1:
        raise ValueError(f"must be above 0 and at most 1, got {value!r}")
    return share


Share = Annotated[Fraction, BeforeValidator(_fraction), PlainSerializer(str)]
Values = Annotated[tuple[Value, ...], Field(strict=False, min_length=1)]
Seeds = Annotated[tuple[int, ...], Field(strict=False)]


class FractionsOfDepth(Section):
    """Axis values that scale with the encoder's depth: ``max(1, round(f * depth))``."""

    fraction_of_depth: tuple[Share, ...] = Field(min_length=1, strict=False)
    """Shares of the depth; those that give the same whole number are one arm."""


class Axis(Section):
    """One setting that varies; each value is an arm ``label=value``."""

    setting: str
    """Dotted path of the setting."""
    label: str = Field(min_length=1)
    """Short name in tables, ``K``."""
    values: Values | FractionsOfDepth
    """The values, or fractions of the depth."""


class NamedArm(Section):
    """One named set of overrides: a row of a table."""

    name: str = Field(min_length=1)
    """Row name."""
    set: dict[str, Value]
    """Dotted path to value."""


class Paper(Section):
    """Where the paper has this table or figure."""

    arxiv: str = "2202.03555v3"
    """Paper and version."""
    where: str
    """``Figure 2``."""


class Published(Section):
    """The paper's own numbers for one modality."""

    metric: str
    """What the paper measured, with the unit."""
    setup: str = ""
    """Model and training behind the numbers."""
    source: Literal["read", "digitised"]
    """``read`` from a table or text, or ``digitised`` from a figure."""
    tolerance: float | None = Field(None, gt=0.0)
    """Half-width of the reading error; required when digitised."""
    higher_is_better: bool
    """Direction of the paper's metric."""
    values: dict[str | int | float, float]
    """By axis value (at the paper's depth) or arm name."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.source == "digitised" and self.tolerance is None:
            raise ValueError("tolerance is required when source is digitised")
        return self


class Study(Section):
    """One table or figure."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Also the name of the MLflow experiment and of the tag on its trials."""
    title: str = Field(min_length=1)
    """For people."""
    paper: Paper | None = None
    """What it reproduces; null for a study of your own."""
    hypothesis: str = ""
    """What is expected, in a sentence; shown in MLflow."""
    axis: Axis | None = None
    """One setting that varies ..."""
    arms: tuple[NamedArm, ...] = Field((), strict=False)
    """... or named arms."""
    reference_arms: tuple[ReferenceArm, ...] = Field((), strict=False)
    """Arms every table of frozen features needs beside its own."""
    baseline: str | None = None
    """Arm the others are compared with; null: no comparison."""
    seeds: int | Seeds = 5
    """How many (0, 1, ...), or which."""
    metric: dict[str, str] = Field(min_length=1)
    """The metric of each modality the study has."""
    set: dict[str, Value] = {}
    """Overrides of the recipe common to all arms."""
    published: dict[str, Published] = {}
    """The paper's numbers by modality; a modality that is missing here is shown as
    "not reported"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = [
            *_check_arms(self),
            *_check_seeds(self.seeds),
            *_check_metrics(self),
            *_check_settings(self),
        ]
        if problems:
            raise PydanticCustomError(
                "across_sections",
                "{count} rules are broken",
                {"count": len(problems), "problems": problems},
            )
        return self

    def seed_list(self) -> tuple[int, ...]:
        """The seeds themselves."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


def _check_arms(study: Study) -> list[Problem]:
    if (study.axis is None) == (not study.arms):
        return [Problem("axis", "a study needs either an axis or arms")]
    names = [arm.name for arm in study.arms]
    problems = [
        Problem(f"arms.{i}.name", f"must be unique, {name!r} stands twice")
        for i, name in enumerate(names)
        if name in names[:i] or name in study.reference_arms
    ]
    if study.axis and not isinstance(study.axis.values, FractionsOfDepth):
        values = study.axis.values
        if len(values) != len(set(values)) or not values:
            problems.append(
                Problem("axis.values", f"must be different values, got {list(values)}")
            )
    return problems


def _check_seeds(seeds: int | tuple[int, ...]) -> list[Problem]:
    valid = seeds >= 1 if isinstance(seeds, int) else bool(seeds)
    if not valid:
        given = seeds if isinstance(seeds, int) else list(seeds)
        return [
            Problem(
                "seeds", f"must be at least one seed, a count or a list, got {given}"
            )
        ]
    if isinstance(seeds, tuple) and (len(set(seeds)) < len(seeds) or min(seeds) < 0):
        return [
            Problem("seeds", f"must be different and not negative, got {list(seeds)}")
        ]
    return []


def _check_metrics(study: Study) -> list[Problem]:
    problems = []
    for modality, metric in study.metric.items():
        if modality not in METRICS:
            problems.append(Problem(f"metric.{modality}", one_of(METRICS, modality)))
        elif metric not in METRICS[modality]:
            problems.append(
                Problem(f"metric.{modality}", one_of(METRICS[modality], metric))
            )
    problems += [
        Problem(f"published.{modality}", one_of(study.metric, modality))
        for modality in study.published
        if modality not in study.metric
    ]
    return problems


def _check_settings(study: Study) -> list[Problem]:
    places = {f"set.{path}": path for path in study.set}
    for i, arm in enumerate(study.arms):
        places |= {f"arms.{i}.set.{path}": path for path in arm.set}
    if study.axis:
        places["axis.setting"] = study.axis.setting
    problems = []
    for place, path in places.items():
        found = [check_setting(m, path) for m in study.metric if m in METRICS]
        if found and all(found):
            problems += [Problem(place, p.message) for p in found[:1] if p]
    return problems
