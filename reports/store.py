"""From the tracking store to a planned study and a tidy frame of its trials.

Numbers come from the metrics and tags of runs, in one paginated search per study; no
artifact of a trial is opened for a table.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from ablations.record import (
    KEY_TAG,
    NOTES_TAG,
    OPENED_TAG,
    REASON_TAG,
    RECORD_ARTIFACT,
    STATUS_TAG,
    Manifest,
    Record,
    is_done,
    study_tag,
)
from d2v_core.errors import ConfigError, Problem

PAGE_SIZE = 500
"""Runs per search request; every MLflow backend accepts it.

Fewer cost time, more cost memory (docs/performance.md).
"""

METRIC_PREFIXES = ("eval/", "cost/")
"""Final metrics; the others are curves over training."""

SOURCE_TAGS = {
    "commit": "mlflow.source.git.commit",
    "dirty": "d2v.git.dirty",
    "command": "mlflow.source.name",
}
"""Where a trial comes from: column and tag."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What a report needs of a run: not its settings, of which there are dozens.

    Attributes:
        run_id: The run.
        experiment_id: Its experiment.
        status: MLflow's own.
        started: Milliseconds since 1970.
        ended: Likewise; 0 when unknown.
        tags: All of them.
        metrics: Last values.
        data_digest: Of its data set; empty when unknown.
    """

    run_id: str
    experiment_id: str
    status: str
    started: int
    ended: int
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    data_digest: str


def open_store(tracking_uri: str) -> MlflowClient:
    """A client of an existing store; a missing SQLite file is not created.

    Raises:
        ConfigError: There is no such file.
    """
    database = tracking_uri.removeprefix("sqlite:///").partition("?")[0]
    if database != tracking_uri and not Path(database).exists():
        raise ConfigError(
            [
                Problem(
                    "--tracking-uri",
                    f"must be an existing tracking store, got {tracking_uri!r} and "
                    f"there is no file {database!r}; run a study first, or give the "
                    "store it was run with",
                )
            ]
        )
    return MlflowClient(tracking_uri=tracking_uri)


def trial_frame(client: MlflowClient, manifest: Manifest) -> pd.DataFrame:
    """One row per planned cell, whether or not its trial exists.

    Args:
        client: Of the store.
        manifest: The planned study; its cells are the rows, in order.

    Returns:
        Columns ``arm``, ``seed``, ``key``, ``num_runs`` (of that key, failed tries
        among them), ``status`` (as in :data:`ablations.record.Status`, ``unfinished``
        or ``missing``), ``reason``, ``notes``, ``run_id``, ``experiment_id``, ``ended``
        (milliseconds since 1970, 0 when unknown), ``commit``, ``dirty``, ``command``,
        ``data_digest``, then one column per logged ``eval/`` and ``cost/`` metric, NaN
        where there is none.
    """
    tag = study_tag(manifest.study["name"])
    logged = list(search(client, experiment_names(client), f"tags.`{tag}` LIKE '%'"))
    runs, attempts = best_runs(logged), Counter(run.tags.get(KEY_TAG) for run in logged)
    found = [runs.get(cell.key) for cell in manifest.cells]
    metrics = sorted(
        {name for run in found if run for name in run.metrics if _is_final(name)}
    )
    rows = [
        {
            "arm": cell.arm,
            "seed": cell.seed,
            "key": cell.key,
            "num_runs": attempts[cell.key],
            **_trial_row(run, metrics),
        }
        for cell, run in zip(manifest.cells, found, strict=True)
    ]
    return pd.DataFrame(rows)


def best_runs(runs: Iterable[StoredRun]) -> dict[str, StoredRun]:
    """One run per trial key: a done one before any other, then the latest."""
    best: dict[str, StoredRun] = {}
    for run in runs:
        key = run.tags.get(KEY_TAG)
        if key is not None and (key not in best or _rank(run) > _rank(best[key])):
            best[key] = run
    return best


def read_record(client: MlflowClient, run_id: str) -> Record | None:
    """The record of a trial, if it has one."""
    text = read_artifact(client, run_id, RECORD_ARTIFACT)
    return None if text is None else Record.model_validate_json(text)


def _trial_row(run: StoredRun | None, metrics: Iterable[str]) -> dict[str, Any]:
    if run is None:
        row: dict[str, Any] = {"status": "missing", "reason": "not run yet"}
        row |= {"notes": "", "run_id": "", "experiment_id": "", "ended": 0}
        row |= dict.fromkeys((*SOURCE_TAGS, "data_digest"), "")
        return row | dict.fromkeys(metrics, float("nan"))
    status, reason = _status(run)
    return {
        "status": status,
        "reason": reason,
        "notes": run.tags.get(NOTES_TAG, ""),
        "run_id": run.run_id,
        "experiment_id": run.experiment_id,
        "ended": run.ended,
        **{name: run.tags.get(tag, "") for name, tag in SOURCE_TAGS.items()},
        "data_digest": run.data_digest,
        **{name: run.metrics.get(name, float("nan")) for name in metrics},
    }


def _status(run: StoredRun) -> tuple[str, str]:
    """How a trial stands; a run without a record is neither done nor failed."""
    status = run.tags.get(STATUS_TAG)
    if status is not None:
        return status, run.tags.get(REASON_TAG, "")
    if run.status in ("RUNNING", "SCHEDULED"):
        return "unfinished", "started, no result yet (running or interrupted)"
    return "unfinished", f"ended as {run.status} without a record"


def _rank(run: StoredRun) -> tuple[bool, int, str]:
    return (is_done(run.tags), *age(run))


def age(run: StoredRun) -> tuple[int, str]:
    """Sorts runs, the last one last."""
    return (int(run.tags.get(OPENED_TAG) or run.started), run.run_id)


def _is_final(metric: str) -> bool:
    return metric.startswith(METRIC_PREFIXES)


def experiment_names(client: MlflowClient) -> dict[str, str]:
    """Every experiment's name by its id."""
    names: dict[str, str] = {}
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=PAGE_SIZE, page_token=token)
        names |= {experiment.experiment_id: experiment.name for experiment in page}
        token = page.token
        if not token:
            return names


def search(
    client: MlflowClient, experiments: Iterable[str], condition: str
) -> Iterator[StoredRun]:
    """The runs that meet a condition, page by page."""
    token: str | None = None
    ids = list(experiments)
    while ids:
        with _late_garbage_collection():
            page = client.search_runs(
                ids, condition, max_results=PAGE_SIZE, page_token=token
            )
            token = page.token
            runs = [_slim(run) for run in page]
            del page
        yield from runs
        if not token:
            return


def _slim(run: Run) -> StoredRun:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return StoredRun(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        started=run.info.start_time or 0,
        ended=run.info.end_time or 0,
        tags=run.data.tags,
        metrics=run.data.metrics,
        data_digest=inputs[0].dataset.digest if inputs else "",
    )


@contextmanager
def _late_garbage_collection() -> Iterator[None]:
    """Collect after a page, not while it is made: halves the time of a search.

    SQLAlchemy makes a hundred objects for every run, all of them alive to the end.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
            gc.collect()


def read_artifact(client: MlflowClient, run_id: str, name: str) -> str | None:
    """The text of an artifact, or None where the run has none of that name."""
    with tempfile.TemporaryDirectory() as folder, _no_progress_bar():
        try:
            path = client.download_artifacts(run_id, name, folder)
        except (MlflowException, OSError):
            return None
        return Path(path).read_text(encoding="utf-8")


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """MLflow draws a bar for every artifact and has no other switch."""
    name = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
