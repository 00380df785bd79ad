"""Which trainings the studies of a store need the encoders of."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlflow.exceptions import MlflowException

from ablations import mlflow_names as names
from ablations.record import Manifest
from d2v_core.errors import ConfigError, Problem
from sweeps.tracking.stores import Stores
from sweeps.tracking.tracker import Tracker


def needed_trainings(stores: Stores) -> set[str]:
    """Training keys of every cell of every study, and of every search's trials.

    Raises:
        ConfigError: A study of the store cannot be read, so what it needs is unknown.
    """
    if stores.is_new:
        return set()
    tracker = Tracker(stores, "d2v prune")
    return {*tracker.searched_trainings(), *_of_studies(tracker)}


def _of_studies(tracker: Tracker) -> set[str]:
    needed: set[str] = set()
    for run in tracker.study_runs():
        name = run.info.run_name
        with tempfile.TemporaryDirectory(prefix="d2v-") as folder:
            try:
                file = tracker.client.download_artifacts(
                    run.info.run_id, names.MANIFEST_ARTIFACT, folder
                )
                manifest = Manifest.model_validate_json(Path(file).read_text())
            except (MlflowException, OSError, ValueError) as error:
                message = f"the plan of {name!r} cannot be read ({_line(error)})"
                remedy = "delete that run in MLflow if nobody needs it, then again"
                problem = Problem("d2v prune", f"{message}; {remedy}")
                raise ConfigError([problem]) from None
        needed |= {cell.training for cell in [*manifest.cells, *manifest.removed]}
    return needed


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
