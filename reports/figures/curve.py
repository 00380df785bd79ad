"""From statistics to the numbers of the figure: positions, labels, levels.

The study's own curve and the paper's share the position axis; as differences, each from
its own baseline, also the value axis. On an axis of fractions of the depth the position
is K / depth, so K=1 of 4 layers stands where the paper has K=3 of 12; on any other axis
values are evenly spaced in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ablations.record import Manifest
from reports.statistics.summary import ArmResult, StudyResult
from reports.tables.paper import PaperNumbers, paper_numbers, scales_with_depth
from reports.tables.wording import shown_half_width


@dataclass(frozen=True)
class Point:
    """One arm in a panel.

    Attributes:
        arm: Its name; of the paper's, its own value of the axis or arm.
        position: Where it stands on the shared axis.
        label: Its tick label.
        mean: None where there is no value; the place stays empty and labelled.
        half_width: Half the interval, or the reading error; None: there is none.
        seeds: The single values behind the mean, by seed.
        collapsed: Seeds whose trials collapsed.
    """

    arm: str
    position: float
    label: str
    mean: float | None
    half_width: float | None
    seeds: Mapping[int, float] = field(default_factory=dict)
    collapsed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Level:
    """A reference arm: a line across the panel."""

    label: str
    mean: float


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    Attributes:
        title: Says whose numbers they are.
        position_label: Title of the shared axis.
        value_label: The metric.
        points: In order of position.
        levels: Reference arms.
    """

    title: str
    position_label: str
    value_label: str
    points: tuple[Point, ...]
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class FigureData:
    """The numbers of a figure.

    Attributes:
        is_curve: Whether positions are ordered values; else they are named arms.
        shares: Whether positions are shares of the depth.
        ours: The study.
        paper: The paper's numbers, if it has any here.
        ours_effects: The study's differences to its baseline, positive better; None
            without a baseline that has a result.
        paper_effects: The same of the paper's numbers.
        baseline: The arm of the differences, perhaps a reference.
    """

    is_curve: bool
    shares: bool
    ours: Panel
    paper: Panel | None
    ours_effects: Panel | None = None
    paper_effects: Panel | None = None
    baseline: str = ""


def figure_data(result: StudyResult, manifest: Manifest) -> FigureData:
    """The numbers of a study's figure."""
    paper = paper_numbers(manifest)
    arms = [arm for arm in result.arms if not arm.is_reference]
    values = {arm.label: arm.value for arm in manifest.arms}
    axis = manifest.study.get("axis")
    # Of a grid a name holds the values of all axes: its arms are rows.
    names = [str(values[a.label]) if axis else a.label for a in arms]
    references = [arm.label for arm in manifest.arms if arm.is_reference]
    theirs = [name for name in paper.values if name not in references] if paper else []
    shares = scales_with_depth(manifest)
    if shares:
        ours_at = _shares(names, manifest.depth)
        theirs_at = _shares(theirs, max(map(float, theirs), default=1.0))
    else:
        ours_at = theirs_at = _even_positions(names, theirs if axis else [])
    label = axis["label"] if axis else ""
    ours = Panel(
        title=f"This study: {manifest.modality}, scale {manifest.scale}",
        position_label=f"{label} of {manifest.depth} layers" if shares else label,
        value_label=result.metric.title,
        points=tuple(
            _our_point(arm, name, ours_at[name])
            for arm, name in zip(arms, names, strict=True)
        ),
        levels=_levels(result),
    )
    theirs_panel = (
        _paper_panel(paper, theirs_at, references, label, shares) if paper else None
    )
    return FigureData(
        is_curve=axis is not None,
        shares=shares,
        ours=ours,
        paper=theirs_panel,
        ours_effects=_our_effects(ours, result),
        paper_effects=_paper_effects(theirs_panel, paper, result, manifest),
        baseline=result.baseline or "",
    )


def _our_effects(ours: Panel, result: StudyResult) -> Panel | None:
    """Every arm minus the baseline, seed by seed."""
    baseline = result.arm(result.baseline) if result.baseline else None
    if baseline is None or baseline.mean is None:
        return None
    points = []
    for point in ours.points:
        arm = result.arm(point.arm)
        assert arm is not None, "points are made of arms"
        is_own = point.arm == baseline.label
        change = arm.difference
        mean = None if change is None else result.sign * change.mean
        common = arm.values.keys() & baseline.values.keys()
        points.append(
            replace(
                point,
                mean=0.0 if is_own else mean,
                half_width=shown_half_width(change),
                seeds={
                    seed: result.sign * (arm.values[seed] - baseline.values[seed])
                    for seed in sorted(common)
                    if not is_own
                },
            )
        )
    levels = [
        Level(arm.label, result.sign * arm.difference.mean)
        for arm in result.arms
        if arm.is_reference and arm.difference
    ]
    return replace(ours, points=tuple(points), levels=tuple(levels))


def _paper_effects(
    panel: Panel | None,
    paper: PaperNumbers | None,
    result: StudyResult,
    manifest: Manifest,
) -> Panel | None:
    """The paper's numbers minus its number beside our baseline.

    Both may be misread, so the error of a difference is twice that of a number.
    """
    base = next((a.paper for a in manifest.arms if a.label == result.baseline), None)
    if panel is None or paper is None or base is None:
        return None
    sign, zero = (1.0 if paper.higher_is_better else -1.0), float(base["value"])
    points = [
        replace(
            point,
            mean=None if point.mean is None else sign * (point.mean - zero),
            half_width=2.0 * (point.half_width or 0.0) or None,
        )
        for point in panel.points
    ]
    return replace(panel, points=tuple(points), levels=())


def _shares(names: Sequence[str], depth: float) -> dict[str, float]:
    return {name: float(name) / depth for name in names}


def _even_positions(names: Sequence[str], others: Sequence[str]) -> dict[str, float]:
    """0, 1, 2 ...; sorted where every name is a number, else in the given order.

    ``"0.90"`` and ``"0.9"`` are the same place.
    """
    union = list(dict.fromkeys([*names, *others]))
    numbers = [_number(name) for name in union]
    if any(number is None for number in numbers):
        return {name: float(i) for i, name in enumerate(union)}
    order = sorted({number for number in numbers if number is not None})
    return {
        name: float(order.index(number))
        for name, number in zip(union, numbers, strict=True)
        if number is not None
    }


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def _our_point(arm: ArmResult, name: str, position: float) -> Point:
    return Point(
        arm=arm.label,
        position=position,
        label=name,
        mean=arm.mean.mean if arm.mean else None,
        half_width=shown_half_width(arm.mean),
        seeds=arm.values,
        collapsed=tuple(
            seed.seed
            for seed in arm.seeds
            if seed.status == "collapsed" and seed.value is not None
        ),
    )


def _levels(result: StudyResult) -> tuple[Level, ...]:
    return tuple(
        Level(arm.label, arm.mean.mean)
        for arm in result.arms
        if arm.is_reference and arm.mean
    )


def _paper_panel(
    paper: PaperNumbers,
    positions: dict[str, float],
    references: Sequence[str],
    label: str,
    shares: bool,
) -> Panel | None:
    """The paper's whole curve; of named arms, those the study has too."""
    names = sorted(
        (name for name in paper.values if name in positions),
        key=lambda name: positions[name],
    )
    if not names:
        return None
    how = paper.source
    if paper.tolerance is not None:
        how += f", ±{paper.tolerance:.{paper.decimals}f}"
    return Panel(
        title=f"Paper: {paper.where.partition(' of arXiv')[0]} ({how})",
        position_label=f"{label} of {max(names, key=float)} layers"
        if shares
        else label,
        value_label=paper.metric,
        points=tuple(
            Point(name, positions[name], name, paper.values[name], paper.tolerance)
            for name in names
        ),
        levels=tuple(
            Level(name, paper.values[name])
            for name in references
            if name in paper.values
        ),
    )
