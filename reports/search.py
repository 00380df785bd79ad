"""The outcome of a search, as files and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from ablations.search.path import shown
from ablations.search.record import SearchOutcome, SearchTrial
from reports.figures.search_charts import search_charts
from reports.figures.spec import to_png
from reports.files import Contents, write_files
from reports.page.gallery import chart_data, still_picture
from reports.page.templating import json_element, render
from reports.tables.formats import csv_text
from reports.text import for_markdown, for_terminal

ENDS = {"stopped_early": "stopped early"}
SHOWN_PARAMETERS = 10


def write_search(outcome: SearchOutcome, folder: Path, command: str) -> dict[str, Path]:
    """The files of a search, by name.

    Args:
        outcome: The search.
        folder: Made if need be.
        command: Trains the ablation path; empty: there is none.

    Raises:
        ReportWriteError: The disk is full, or the folder cannot be written.
    """
    contents: Contents = {
        "search.json": outcome.model_dump_json(indent=1),
        "history.csv": csv_text(history(outcome)),
        "importance.csv": csv_text(importance_frame(outcome)),
        "search.md": _markdown(outcome, command),
        "search.png": to_png(search_charts(outcome)),
        "search.html": _page(outcome, command),
    }
    return write_files(contents, folder)


def _page(outcome: SearchOutcome, command: str) -> str:
    charts = search_charts(outcome)
    return render(
        "search.html",
        charts=True,
        drawn=[(chart, still_picture(chart)) for chart in charts],
        chart_data=json_element(chart_data(charts, [])),
        outcome=outcome,
        summary=summary(outcome),
        importance=_importance_rows(outcome),
        best=_best_rows(outcome),
        path=_path_rows(outcome),
        trials=_trial_rows(outcome),
        command=command,
    )


def history(outcome: SearchOutcome) -> pd.DataFrame:
    """One row per trial, in order; ``best_so_far`` is over whole trainings alone."""
    rows = []
    sign, best = (1.0 if outcome.higher_is_better else -1.0), None
    for trial in outcome.trials:
        value = trial.value if trial.counts else None
        if value is not None and (best is None or sign * value > sign * best):
            best = value
        rows.append(
            {
                **trial.model_dump(exclude={"point"}),
                "best_so_far": best,
                **{setting: trial.point.get(setting) for setting in outcome.settings},
            }
        )
    return pd.DataFrame(rows, dtype=object)


def importance_frame(outcome: SearchOutcome) -> pd.DataFrame:
    """One row per parameter."""
    columns = ["setting", "share", "num_trials", "condition"]
    rows = [one.model_dump() for one in outcome.importance]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def summary(outcome: SearchOutcome) -> str:
    """The outcome in sentences."""
    ends: dict[str, int] = {}
    for trial in outcome.trials:
        end = ENDS.get(trial.end, trial.end)
        ends[end] = ends.get(end, 0) + 1
    listed = ", ".join(f"{count} {end}" for end, count in ends.items())
    text = f"{len(outcome.trials)} trials: {listed}."
    if outcome.best is None:
        return f"{text} None has a result."
    best = outcome.trial(outcome.best)
    text += f" Best: trial {best.number} with {_number(best.value)}"
    if outcome.paper is None:
        return f"{text}; the paper's setting has no result."
    paper = outcome.trial(outcome.paper)
    if best.key == paper.key:
        return f"{text}, the paper's setting."
    return (
        f"{text}; the paper's setting has {_number(paper.value)}. The best of many "
        "looks better than it is: the ablation path trains it anew, with seeds, and "
        "reports the test split."
    )


def search_console(outcome: SearchOutcome) -> RenderableType:
    """Summary, best and importance for a terminal."""
    parts: list[RenderableType] = [
        for_terminal(f"{outcome.name}: {outcome.metric}", "bold"),
        for_terminal(summary(outcome)),
    ]
    if rows := _best_rows(outcome):
        parts.append(_console_table(["setting", "paper's", "best"], rows))
    if rows := _importance_rows(outcome):
        titles = ["importance (fANOVA)", "share", "trials", "where"]
        parts.append(_console_table(titles, rows[:SHOWN_PARAMETERS]))
    return Group(*parts)


def _console_table(titles: list[str], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, title in enumerate(titles):
        table.add_column(title, justify="right" if 0 < i < 3 else "left")
    for row in rows:
        table.add_row(*map(for_terminal, row))
    return table


def _best_rows(outcome: SearchOutcome) -> list[tuple[str, ...]]:
    """Setting, paper's value, best value; those that differ."""
    if outcome.best is None:
        return []
    best = outcome.trial(outcome.best).point
    paper = outcome.trial(outcome.paper).point if outcome.paper is not None else {}

    def text(point: Mapping[str, object], setting: str) -> str:
        return shown(point[setting]) if setting in point else "–"  # type: ignore[arg-type]

    return [
        (setting, text(paper, setting), text(best, setting))
        for setting in outcome.settings
        if best.get(setting, ...) != paper.get(setting, ...)
    ]


def _importance_rows(outcome: SearchOutcome) -> list[tuple[str, ...]]:
    return [
        (one.setting, f"{100 * one.share:.0f} %", str(one.num_trials), one.condition)
        for one in outcome.importance
    ]


def _path_rows(outcome: SearchOutcome) -> list[tuple[str, ...]]:
    return [(step.label, f"{step.predicted:.2f}") for step in outcome.path]


def _trial_rows(outcome: SearchOutcome) -> list[tuple[str, ...]]:
    rows = []
    for trial in outcome.trials:
        point = [f"{outcome.settings[k]} = {shown(v)}" for k, v in trial.point.items()]
        end = ENDS.get(trial.end, trial.end) + " (found in the store)" * trial.found
        cost = [_cost(trial)] if outcome.cost else []
        number = str(trial.number)
        rows.append((number, _number(trial.value), *cost, end, ", ".join(point)))
    return rows


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _cost(trial: SearchTrial) -> str:
    return "–" if trial.cost is None else f"{trial.cost:.3g}"


def _markdown(outcome: SearchOutcome, command: str) -> str:
    parts = [f"### {for_markdown(outcome.title)}", for_markdown(summary(outcome))]
    tables = [
        (["setting", "paper's", "best"], _best_rows(outcome)),
        (["setting", "importance", "trials", "where"], _importance_rows(outcome)),
        (["path", "predicted"], _path_rows(outcome)),
    ]
    for titles, rows in tables:
        if rows:
            lines = [titles, ["---"] * len(titles), *rows]
            parts.append("\n".join(_markdown_line(line) for line in lines))
    if command:
        parts.append(f"Train the path: `{command}`")
    return "\n\n".join(parts) + "\n"


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(c if c == '---' else for_markdown(c) for c in cells)} |"
