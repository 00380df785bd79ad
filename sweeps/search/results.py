"""The settings a search found, as files that other commands take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.search.bound_space import BoundSpace
from ablations.search.path import path_study, yaml_text
from ablations.search.record import SearchOutcome
from sweeps.search.analysis import analyse
from sweeps.search.run import Searched
from sweeps.search.study import search_id
from sweeps.tracking.stores import Stores


@dataclass(frozen=True)
class Results:
    """What a search found, and where it lies.

    Attributes:
        outcome: All of it.
        folder: Of its files.
        best: A recipe; None without any result.
        path: A study from the paper's setting to the best; None when these are the
            same.
    """

    outcome: SearchOutcome
    folder: Path
    best: Path | None
    path: Path | None


def write_results(bound: BoundSpace, searched: Searched, stores: Stores) -> Results:
    """Write ``best.yaml`` and ``path.yaml``, those that there are."""
    outcome, steps = analyse(bound, searched.study, searched.paper_key)
    folder = stores.storage / "search" / search_id(bound)
    folder.mkdir(parents=True, exist_ok=True)
    best, path = folder / "best.yaml", folder / "path.yaml"
    for file in (best, path):
        file.unlink(missing_ok=True)
    if outcome.best is not None:
        trial = bound.trial(outcome.trial(outcome.best).point)
        recipe = trial.model_dump(
            mode="json", exclude={"seed": True, "execution": {"probe_at"}}
        )
        best.write_text(yaml_text(recipe, f"d2v train {best}"))
    if steps:
        study = path_study(bound, steps)
        written = study.model_dump(mode="json", exclude_unset=True)
        path.write_text(yaml_text(written, f"d2v run {path}"))
    return Results(
        outcome,
        folder,
        best if best.exists() else None,
        path if path.exists() else None,
    )
