"""The fields of a study file, each with its meaning.

A study says which settings vary (an axis, several crossed axes, or named arms), over
which seeds, which metric counts, what the paper reports and what it claims. Recipes say
everything else.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from ablations.metrics import LOGGED_GROUPS, Metric, metric_of
from ablations.study.axis import Axis
from ablations.study.claims import Claim
from d2v_core.config import Section
from d2v_core.config.bounds import MAX_FACTOR, MAX_ITEMS

ReferenceArm = Literal["untrained", "supervised"]
MAX_NAME = 100
"""Characters of a name: MLflow, file systems and tables take it whole."""
MAX_SENTENCE = 2_000
"""Characters of a title or a sentence, below what a tag of MLflow holds."""
MAX_AXES = 8
STUDY_NAME = r"^[a-z][a-z0-9_]*$"
Settings = dict[str, JsonValue]
"""Dotted path to value."""
Seeds = Annotated[tuple[int, ...], Field(strict=False)]
References = Annotated[tuple[ReferenceArm, ...], Field(strict=False)]
Names = Annotated[tuple[str, ...], Field(strict=False, max_length=MAX_ITEMS)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
"""Name of an arm: short enough for MLflow's names and for a table."""
Sentence = Annotated[str, Field(max_length=MAX_SENTENCE)]
Baseline = Annotated[str, Field(max_length=1_000)]
"""Name of an arm; of crossed axes it is longer than a name."""
Score = Annotated[float, Field(ge=-MAX_FACTOR, le=MAX_FACTOR)]


class Overrides(Section):
    """What a study or one of its arms changes on the recipe."""

    like: str | NamedArm = ""
    """``STUDY/ARM``: begins with all that this arm of a shipped study sets. Reading the
    file puts the arm itself here (:mod:`ablations.study.like`)."""
    set: Settings = {}
    """Dotted path to value; empty: the recipe as it is."""
    set_for: dict[str, Settings] = {}
    """The same for one modality each, after ``set``."""
    set_at: dict[str, Settings] = {}
    """The same for one recipe each (``vision-smoke``), after ``set_for``: what differs
    by scale."""

    def settings(self, modality: str, scale: str | None) -> Settings:
        """All that it sets for a modality at a scale; None: whatever the scale."""
        before = {}
        if isinstance(self.like, NamedArm):
            before = self.like.settings(modality, scale)
        of_recipe = self.set_at.get(f"{modality}-{scale}", {})
        return {**before, **self.set, **self.set_for.get(modality, {}), **of_recipe}


class NamedArm(Overrides):
    """One named set of overrides: a row of a table."""

    name: Name
    """Row name."""
    only: Names = ()
    """Modalities that have this arm; empty: all of the study's."""

    def exists_for(self, modality: str) -> bool:
        """Whether a modality has this arm."""
        return not self.only or modality in self.only


class Paper(Section):
    """Where the paper has this table or figure."""

    arxiv: Sentence = "2202.03555v3"
    """Paper and version."""
    where: Sentence | dict[str, Sentence]
    """``Figure 2``, or by modality."""

    @property
    def places(self) -> str:
        """All places, for lists."""
        where = self.where
        return "; ".join(where.values()) if isinstance(where, dict) else where


class OwnMetric(Section):
    """Any number that trials log, beside the ones that have names of their own."""

    name: str = Field(
        pattern=rf"^({'|'.join(LOGGED_GROUPS)})/[\w./-]+$", max_length=MAX_NAME
    )
    """Name as logged: ``eval/sst_2_score``, ``cost/training_seconds``; of a curve
    (``train/loss``, ``target/effective_rank``) the last value of the trial counts."""
    title: str = Field(min_length=1, max_length=MAX_SENTENCE)
    """Title for captions and axes, with the unit."""
    higher_is_better: bool
    """Direction."""


Reading = Literal["read", "digitised"]
"""How a number of the paper was had: from a table or text, or from a figure."""


class Published(Section):
    """The paper's own numbers for one modality."""

    metric: Sentence
    """What the paper measured, with the unit."""
    setup: Sentence = ""
    """Model and training behind the numbers."""
    source: Reading
    """``read`` from a table or text, or ``digitised`` from a figure."""
    tolerance: float | None = Field(None, gt=0.0, le=MAX_FACTOR)
    """Half-width of the reading error; required when digitised."""
    higher_is_better: bool
    """Direction of the paper's metric."""
    values: dict[str | int | float, Score] = Field(max_length=MAX_ITEMS)
    """Numbers by axis value (at the paper's depth) or arm name."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.source == "digitised" and self.tolerance is None:
            raise ValueError("tolerance is required when source is digitised")
        return self


class StudyFields(Overrides):
    """What stands in a study file; :class:`ablations.study.schema.Study` checks it."""

    name: str = Field(pattern=STUDY_NAME, max_length=MAX_NAME)
    """Also the name of the MLflow experiment and of the tag on its trials."""
    title: str = Field(min_length=1, max_length=MAX_SENTENCE)
    """Title, for people."""
    paper: Paper | None = None
    """What it reproduces; null for a study of your own."""
    hypothesis: Sentence = ""
    """What is expected, in a sentence; shown in MLflow."""
    caption: dict[str, Sentence] = {}
    """What the caption says of the table at one recipe each (``vision-smoke``): how its
    arms were tuned, say."""
    axis: Axis | None = None
    """One setting that varies ..."""
    axes: tuple[Axis, ...] = Field((), strict=False, max_length=MAX_AXES)
    """... or several, every value of one with every value of the others ..."""
    arms: tuple[NamedArm, ...] = Field((), strict=False, max_length=MAX_ITEMS)
    """... or named arms."""
    reference_arms: References | dict[str, References] = ()
    """Arms every table of frozen features needs beside its own, the same or by
    modality (a supervised arm needs labels for all its training data)."""
    baseline: Baseline | dict[str, Baseline] | None = None
    """Arm the others are compared with, or one for each modality; null: no
    comparison."""
    seeds: int | Seeds = 5
    """How many (0, 1, ...), or which."""
    metric: dict[str, str | OwnMetric] = Field(min_length=1)
    """The metric of each modality the study has."""
    published: dict[str, Published] = {}
    """The paper's numbers by modality; a modality that is missing here is shown as
    "not reported"."""
    claims: tuple[Claim, ...] = Field((), strict=False, max_length=MAX_ITEMS)
    """What the paper says about these arms, each with the rule that tests it."""

    @property
    def all_axes(self) -> tuple[Axis, ...]:
        """The axis, or the axes; none for named arms."""
        return (self.axis,) if self.axis else self.axes

    def seed_list(self) -> tuple[int, ...]:
        """The seeds themselves."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    def references(self, modality: str) -> tuple[ReferenceArm, ...]:
        """Names of a modality's reference arms."""
        given = self.reference_arms
        return given.get(modality, ()) if isinstance(given, dict) else given

    def metric_for(self, modality: str) -> Metric:
        """The metric that counts."""
        chosen = self.metric[modality]
        if isinstance(chosen, OwnMetric):
            return metric_of(modality, chosen.model_dump())
        return metric_of(modality, chosen)
