"""The charts of a page: which there are, their places, and the data beneath them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from reports.figures.grid_charts import grid_charts, specification_charts
from reports.figures.main_charts import effect_charts, unit_charts
from reports.figures.spec import CONFIG, PAGE_COLOURS, Chart, to_svg
from reports.figures.training_charts import (
    health_charts,
    score_charts,
    training_charts,
)
from reports.page.content import Content


@dataclass(frozen=True)
class View:
    """One way to look at the main figure.

    Attributes:
        name: For the page's scripts.
        title: On the switch.
        charts: Beside each other; all modalities'.
    """

    name: str
    title: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Gallery:
    """All charts of a report.

    Attributes:
        views: The main figure; the first is the one that is seen without JavaScript.
        specification: Two charts above each other, or none.
        grid: Charts of crossed axes.
        training: One per metric and objective.
        scores: Over training.
        health: A strip per measure.
    """

    views: tuple[View, ...]
    specification: tuple[Chart, ...]
    grid: tuple[Chart, ...]
    training: tuple[Chart, ...]
    scores: tuple[Chart, ...]
    health: tuple[Chart, ...]

    @property
    def charts(self) -> list[Chart]:
        """All of them."""
        main = [chart for view in self.views for chart in view.charts]
        more = (self.specification, self.grid, self.training, self.scores, self.health)
        return main + [chart for group in more for chart in group]


def gallery(content: Content) -> Gallery:
    """The charts of a report."""
    result, manifest = content.result, content.manifest
    return Gallery(
        views=main_views(content),
        specification=tuple(specification_charts(result, manifest)),
        grid=tuple(grid_charts(result, manifest)),
        training=tuple(training_charts(content.curves, manifest)),
        scores=tuple(score_charts(content.scores, manifest)),
        health=tuple(health_charts(content.frame, manifest)),
    )


def main_views(content: Content) -> tuple[View, ...]:
    """Differences in one frame where there is a baseline; then both in their units."""
    effects = effect_charts(content.figure)
    units = unit_charts(content.figure)
    for sibling in content.siblings:
        prefix = f"{sibling.modality}-"
        effects += _of(sibling.modality, effect_charts(sibling.figure, prefix))
        units += _of(sibling.modality, unit_charts(sibling.figure, prefix))
    own = content.manifest.modality
    if content.siblings:
        effects, units = _titled(own, effects), _titled(own, units)
    views = [
        View("effects", "difference to the baseline", _named(own, effects)),
        View("units", "in their own units", _named(own, units)),
    ]
    return tuple(view for view in views if view.charts)


def pictured(content: Content) -> Sequence[Chart]:
    """The charts of the files ``curve.svg`` and its like: the study's own."""
    own = content.manifest.modality
    first = main_views(content)[0]
    return [chart for chart in first.charts if chart.modality == own]


def chart_data(charts: Iterable[Chart], arms: Sequence[Mapping[str, Any]]) -> Any:
    """What the page's scripts need.

    Args:
        charts: By whatever name they are placed under.
        arms: Label, settings, anchor and trials of each, for what is pointed at.
    """
    return {
        "charts": {chart.name: chart.spec for chart in charts},
        "config": {name: _with_page_colours(value) for name, value in CONFIG.items()},
        "colours": PAGE_COLOURS,
        "arms": arms,
    }


def still_picture(chart: Chart) -> Markup:
    """A chart for a page without JavaScript, in the page's colours.

    Its ids get a prefix, so that two drawings do not clash.
    """
    svg = to_svg([replace(chart, title="", note="")], background=None)
    svg = re.sub(r'\bid="', f'id="{chart.name}-', svg)
    svg = svg.replace("url(#", f"url(#{chart.name}-")
    for colour, own in PAGE_COLOURS.items():
        svg = svg.replace(f'"{colour}"', f'"{own}"')
    return Markup(svg)


def _with_page_colours(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_page_colours(one) for name, one in value.items()}
    return PAGE_COLOURS.get(value, value) if isinstance(value, str) else value


def _of(modality: str, charts: Iterable[Chart]) -> list[Chart]:
    return [replace(chart, modality=modality) for chart in charts]


def _titled(own: str, charts: Iterable[Chart]) -> list[Chart]:
    named = [(one, one.modality or own) for one in charts]
    return [
        one
        if modality in one.title
        else replace(one, title=f"{modality.capitalize()}: {_lowered(one.title)}")
        for one, modality in named
    ]


def _lowered(title: str) -> str:
    return title[:1].lower() + title[1:]


def _named(own: str, charts: Iterable[Chart]) -> tuple[Chart, ...]:
    """The study's own charts carry its modality too."""
    return tuple(replace(one, modality=one.modality or own) for one in charts)
