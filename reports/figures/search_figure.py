"""Draws a search: every trial and the best so far; beside it cost against metric."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablations.search.record import SearchOutcome, SearchTrial
from reports.figures.figure import (
    INK,
    LABEL_WIDTH,
    OURS,
    PANEL_SIZE,
    PAPER,
    QUIET,
    ImageFormat,
    drawing_style,
)
from reports.text import visible

PAPER_LABEL = "paper's setting"


def draw_search(outcome: SearchOutcome, kind: ImageFormat) -> bytes:
    """One panel, or two when there is a cost; the same bytes for the same numbers."""
    panels = [_draw_history, *([_draw_front] if outcome.cost else [])]
    buffer = io.BytesIO()
    with drawing_style():
        size = (PANEL_SIZE[0] * len(panels) * 1.2, PANEL_SIZE[1])
        figure = Figure(figsize=size, layout="constrained")
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for draw, axes in zip(panels, all_axes, strict=True):
            draw(axes, outcome)
            axes.set_ylabel(textwrap.fill(visible(outcome.metric), LABEL_WIDTH))
            axes.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)
        stamp = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=200, metadata=stamp)
    return buffer.getvalue()


def _draw_history(axes: Axes, outcome: SearchOutcome) -> None:
    whole = [trial for trial in outcome.trials if trial.counts]
    given_up = [trial for trial in outcome.trials if trial.end == "stopped_early"]
    _scatter(axes, whole, "o", OURS, "trained to the end")
    _scatter(axes, given_up, "x", QUIET, "stopped early, last probe")
    pick = max if outcome.higher_is_better else min
    best: list[float] = []
    for trial in whole:
        value = trial.value or 0.0
        best.append(pick(value, best[-1]) if best else value)
    numbers = [trial.number for trial in whole]
    axes.step(numbers, best, where="post", color=INK, label="best so far")
    if outcome.paper is not None:
        value = outcome.trial(outcome.paper).value or 0.0
        axes.axhline(value, color=PAPER, linestyle="--", label=PAPER_LABEL)
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("History", loc="left")
    axes.legend(frameon=False, fontsize=8.5)


def _draw_front(axes: Axes, outcome: SearchOutcome) -> None:
    whole = [trial for trial in outcome.trials if trial.counts]
    front = sorted((t for t in whole if t.efficient), key=lambda t: t.cost or 0.0)
    rest = [trial for trial in whole if not trial.efficient]
    for trials, colour, label in (
        (rest, QUIET, "another is better in both"),
        (front, OURS, "best trade-offs"),
    ):
        costs, values = _costs_and_values(trials)
        if costs:
            axes.scatter(costs, values, s=20, color=colour, label=label)
    axes.step(costs, values, where="post", color=OURS, linewidth=1.0)
    if outcome.paper is not None:
        costs, values = _costs_and_values([outcome.trial(outcome.paper)])
        axes.plot(costs, values, "s", color=PAPER, mfc="none", ms=9, label=PAPER_LABEL)
    axes.set_xlabel(visible(outcome.cost))
    axes.set_title("Trade-offs", loc="left")
    axes.legend(frameon=False, fontsize=8.5)


def _costs_and_values(trials: Sequence[SearchTrial]) -> tuple[list[float], ...]:
    return [t.cost or 0.0 for t in trials], [t.value or 0.0 for t in trials]


def _scatter(
    axes: Axes, trials: Sequence[SearchTrial], marker: str, colour: str, label: str
) -> None:
    known = [trial for trial in trials if trial.value is not None]
    numbers, values = [t.number for t in known], [t.value or 0.0 for t in known]
    if known:
        axes.scatter(numbers, values, s=22, marker=marker, color=colour, label=label)
