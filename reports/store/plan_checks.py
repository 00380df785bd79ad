"""Checks that every report can be made of the plan of a study.

``study.json`` repeats the study as a dictionary, and a store may hold anything there.
The models here have the fields that reports use, and no others are refused: a newer
version may add some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from ablations.metrics import METRICS
from ablations.record import Manifest
from ablations.study.claims import Claim
from ablations.study.fields import OwnMetric, Reading
from reports.statistics.inference import LARGEST
from reports.store.foreign import Location, Origin, parse
from reports.text import quoted

MAX_ARMS, MAX_CELLS = 10_000, 1_000_000
MAX_LOOKS = 50
MAX_NAME = 100
"""Characters of a study's name; it is part of file names and of tags."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=MAX_NAME)]
Label = Annotated[str, Field(min_length=1, max_length=500)]
Prose = Annotated[str, Field(max_length=10_000)]
Number = Annotated[FiniteFloat, Field(ge=-LARGEST, le=LARGEST)]
Tolerance = Annotated[FiniteFloat, Field(gt=0.0, le=LARGEST)]


class _Part(BaseModel):
    """Some fields of a dictionary; the others are not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StoredPaper(_Part):
    """The place of this study in the paper."""

    arxiv: Label
    where: Label


class StoredAxis(_Part):
    """The setting that varies."""

    label: Label
    values: list[Any] | dict[str, Any]


class StoredPublished(_Part):
    """The paper's numbers for one modality."""

    metric: Prose
    setup: Prose = ""
    source: Reading
    tolerance: Tolerance | None = None
    higher_is_better: bool
    values: dict[Label, Number]


class StoredStudy(_Part):
    """A study as far as reports look at it."""

    name: Name
    title: Prose
    paper: StoredPaper | None = None
    hypothesis: Prose = ""
    caption: dict[Label, Prose] = {}
    axis: StoredAxis | None = None
    baseline: Label | None = None
    metric: dict[str, Label | OwnMetric] = {}
    set: dict[Label, Any] | None = None
    published: dict[str, StoredPublished] | None = None
    claims: list[Claim] = []


class StoredNumber(_Part):
    """A number of the paper beside an arm."""

    value: Number
    at: Label
    source: Prose
    tolerance: Tolerance | None


class StoredArm(_Part):
    """A row of the table."""

    label: Label
    is_reference: bool
    settings: dict[Label, Any]
    value: Prose | Number | bool | None
    paper: StoredNumber | None


class StoredCell(_Part):
    """A trial's place in the table."""

    arm: Label
    seed: Annotated[int, Field(ge=0, lt=1 << 63)]
    key: Label


class StoredData(_Part):
    """The place of the data."""

    root: Prose | None = None


class StoredHealth(_Part):
    """Least healthy values, drawn as lines."""

    min_target_std: Number | None = None
    min_prediction_std: Number | None = None


class StoredBase(_Part):
    """The configuration as far as reports look at it."""

    data: StoredData = StoredData()
    health: StoredHealth = StoredHealth()


class StoredPlan(_Part):
    """``study.json`` with bounds, and with types inside its dictionaries."""

    study: StoredStudy
    modality: Literal["vision", "speech", "text"]
    scale: Name
    assignments: Annotated[list[Prose], Field(max_length=1_000)]
    metric: Label
    depth: Annotated[int, Field(ge=1, le=100_000)]
    num_parameters: Annotated[int, Field(ge=0, lt=1 << 63)]
    base: StoredBase
    arms: Annotated[list[StoredArm], Field(min_length=1, max_length=MAX_ARMS)]
    cells: Annotated[list[StoredCell], Field(min_length=1, max_length=MAX_CELLS)]
    removed: Annotated[list[StoredCell], Field(max_length=MAX_CELLS)] = []
    looks: Annotated[list[int], Field(max_length=MAX_LOOKS)] = []
    data_digest: Prose
    command: Prose


MANIFEST, PLAN = TypeAdapter(Manifest), TypeAdapter(StoredPlan)


def read_manifest(text: str, origin: Origin, field: str) -> Manifest:
    """A plan of the store, for the place it is kept at.

    Raises:
        StoreContentError: It is no plan, or one that no report can be made of.
    """
    manifest = parse(MANIFEST, text, origin, field)
    plan = parse(PLAN, text, origin, field)
    for problem in _problems(plan, origin.place):
        raise origin.fault(field, problem)
    return manifest


def _problems(plan: StoredPlan, place: Location) -> Iterator[str]:
    """Rules across fields."""
    own = (plan.study.name, plan.modality, plan.scale)
    if own != place:
        # Else two experiments could write into one folder.
        yield (
            f"must be the plan of its experiment and tags, is that of {quoted(own)}; "
            "give an experiment that was renamed its old name"
        )
    yield from _metric_problems(plan)
    if any(one >= other for one, other in pairwise((1, *plan.looks))):
        yield "looks: must be growing numbers of 2 seeds or more"
    labels = Counter(arm.label for arm in plan.arms)
    yield from (
        f"arms: must differ, {quoted(label)} is there {n} times"
        for label, n in labels.items()
        if n > 1
    )
    strangers = {cell.arm for cell in plan.cells} - labels.keys()
    yield from (f"cells: there is no arm {quoted(label)}" for label in strangers)
    places = Counter((cell.arm, cell.seed) for cell in plan.cells)
    yield from (
        f"cells: must differ, {quoted(cell)} is there {n} times"
        for cell, n in places.items()
        if n > 1
    )
    yield from _paper_problems(plan)


def _metric_problems(plan: StoredPlan) -> Iterator[str]:
    known = METRICS[plan.modality]
    chosen = plan.study.metric.get(plan.modality, plan.metric)
    if isinstance(chosen, str) and chosen not in known:
        listed = ", ".join(known)
        yield f"metric: must be one of {listed}, got {quoted(chosen)}"


def _paper_problems(plan: StoredPlan) -> Iterator[str]:
    """Numbers of the paper where the figure and the caption look for them."""
    published = (plan.study.published or {}).get(plan.modality)
    if any(arm.paper for arm in plan.arms) and not (published and published.values):
        yield "study.published: must have the numbers that arms stand beside"
    axis = plan.study.axis
    if axis is None or "fraction_of_depth" not in axis.values:
        return
    references = {arm.label for arm in plan.arms if arm.is_reference}
    for key in published.values if published else ():
        if key not in references and not _is_count(key):
            yield f"study.published.values: {quoted(key)} must be a number of layers"
    for arm in plan.arms:
        if not arm.is_reference and not _is_count(arm.value):
            yield f"arms: {quoted(arm.label)} must have a number of layers as its value"


def _is_count(value: object) -> bool:
    try:
        return 0.0 < float(value) <= LARGEST  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
