"""Charts of a search: every trial and the best so far; cost against metric."""

from __future__ import annotations

from collections.abc import Sequence

from ablations.search.record import SearchOutcome, SearchTrial
from reports.figures.spec import (
    INK,
    OURS,
    PAPER,
    QUIET,
    Chart,
    Row,
    Spec,
    layer,
    layered,
    measured,
)

PAPER_LABEL = "paper's setting"
HEIGHT = 260
KINDS = {
    "whole": ("trained to the end", OURS, "circle"),
    "given_up": ("stopped early, last probe", QUIET, "cross"),
    "front": ("best trade-offs", OURS, "circle"),
    "rest": ("another is better in both", QUIET, "circle"),
    "best": ("best so far", INK, "stroke"),
    "paper": (PAPER_LABEL, PAPER, "square"),
}
"""Kind of a row to its name in the legend, its colour and its shape."""


def search_charts(outcome: SearchOutcome) -> list[Chart]:
    """One chart, or two when there is a cost."""
    charts = [Chart("history", "History", _history(outcome))]
    if outcome.cost:
        charts.append(Chart("front", "Trade-offs", _front(outcome)))
    return charts


def _history(outcome: SearchOutcome) -> Spec:
    whole = [trial for trial in outcome.trials if trial.counts]
    given_up = [trial for trial in outcome.trials if trial.end == "stopped_early"]
    rows: list[Row] = [
        _row(kind, trial, trial.number)
        for kind, trials in (("whole", whole), ("given_up", given_up))
        for trial in trials
        if trial.value is not None
    ]
    pick = max if outcome.higher_is_better else min
    best: float | None = None
    for trial in whole:
        value = trial.value or 0.0
        best = value if best is None else pick(best, value)
        rows.append({**_row("best", trial, trial.number), "value": best})
    rows += _paper_rows(outcome, lambda trial: None)
    x = measured("x", "trial", axis={"tickMinStep": 1})
    y = measured("value", outcome.metric)
    return _drawn(rows, x, y, ["whole", "given_up", "best"])


def _front(outcome: SearchOutcome) -> Spec:
    whole = [t for t in outcome.trials if t.counts and t.cost is not None]
    rows = [
        _row("front" if trial.efficient else "rest", trial, trial.cost or 0.0)
        for trial in whole
    ]
    front = sorted((t for t in whole if t.efficient), key=lambda t: t.cost or 0.0)
    rows += [{**_row("best", t, t.cost or 0.0), "label": ""} for t in front]
    rows += _paper_rows(outcome, lambda trial: trial.cost)
    x, y = measured("x", outcome.cost), measured("value", outcome.metric)
    return _drawn(rows, x, y, ["rest", "front"])


def _drawn(rows: list[Row], x: Spec, y: Spec, kinds: Sequence[str]) -> Spec:
    present = [k for k in (*kinds, "paper") if any(r["kind"] == k for r in rows)]
    scale = {
        "domain": [KINDS[kind][0] for kind in present],
        "range": [KINDS[kind][1] for kind in present],
    }
    colour = {"field": "label", "type": "nominal", "scale": scale}
    colour["legend"] = {"columns": 2, "symbolType": "circle"}
    step = {"interpolate": "step-after", "strokeWidth": 1.2, "color": INK}
    layers = [layer("best", "line", step, x=x, y=y, order={"field": "x"})]
    for kind in present:
        is_paper = kind == "paper"
        style: Spec = {"shape": KINDS[kind][2], "size": 110 if is_paper else 45}
        style |= {"filled": not is_paper, "opacity": 0.9}
        if kind != "best":
            layers.append(layer(kind, "point", style, x=x, y=y, color=colour))
    return layered(rows, layers, height=HEIGHT)


def _row(kind: str, trial: SearchTrial, x: float) -> Row:
    row: Row = {"kind": kind, "label": KINDS[kind][0], "x": x}
    return {**row, "value": trial.value or 0.0, "trial": trial.number}


def _paper_rows(outcome: SearchOutcome, cost: object) -> list[Row]:
    """The paper's setting, a square around its point."""
    if outcome.paper is None:
        return []
    trial = outcome.trial(outcome.paper)
    x = cost(trial) if callable(cost) else None
    return [_row("paper", trial, trial.number if x is None else x)]
