"""The settings a search found, as files that other commands take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.search.bound_space import BoundSpace
from ablations.search.path import path_study, yaml_text
from ablations.search.record import SearchOutcome
from d2v_core.files import write_atomically
from sweeps.search.analysis import analyse
from sweeps.search.run import Searched
from sweeps.search.study import search_id
from sweeps.tracking.stores import Stores


@dataclass(frozen=True)
class Results:
    """What a search found, and where it lies.

    Attributes:
        outcome: All of it.
        folder: Folder of its files.
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
    best, path = folder / "best.yaml", folder / "path.yaml"
    if outcome.best is None:
        best.unlink(missing_ok=True)
    else:
        trial = bound.trial(outcome.trial(outcome.best).point)
        recipe = trial.model_dump(
            mode="json", exclude={"seed": True, "execution": {"probe_at"}}
        )
        write_atomically(best, yaml_text(recipe, f"d2v train {best}").encode())
    if not steps:
        path.unlink(missing_ok=True)
    else:
        study = path_study(bound, steps)
        written = study.model_dump(mode="json", exclude_unset=True)
        write_atomically(path, yaml_text(written, f"d2v run {path}").encode())
    return Results(
        outcome,
        folder,
        best if best.exists() else None,
        path if path.exists() else None,
    )
