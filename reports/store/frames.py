"""From the tracking store to a planned study and a tidy frame of its trials.

Numbers come from the metrics and tags of runs, in one paginated search per study; no
artifact of a trial is opened for a table.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from pydantic import TypeAdapter
from sqlalchemy.engine import make_url

from ablations.metrics import LOGGED_GROUPS, manifest_metric
from ablations.record import (
    DONE,
    KEY_TAG,
    NOTES_TAG,
    OPENED_TAG,
    REASON_TAG,
    RECORD_ARTIFACT,
    STATUS_TAG,
    TRIES_TAG,
    FailedTry,
    Manifest,
    ManifestCell,
    Record,
    is_done,
    study_tag,
)
from d2v_core.errors import ConfigError, Problem

PAGE_SIZE = 500
"""Runs per search request; every MLflow backend accepts it.

Fewer cost time, more cost memory (docs/performance.md).
"""

METRIC_PREFIXES = tuple(f"{group}/" for group in LOGGED_GROUPS)
"""Of the columns of a frame that are metrics."""
FINAL_PREFIXES = ("eval/", "cost/")
"""Of the metrics that every frame has; the others are curves over training."""

SOURCE_TAGS = {
    "commit": "mlflow.source.git.commit",
    "dirty": "d2v.git.dirty",
    "command": "mlflow.source.name",
}
"""Where a trial comes from: column and tag."""

FAILED_TRIES = TypeAdapter(tuple[FailedTry, ...])


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
    url = make_url(tracking_uri) if tracking_uri.startswith("sqlite") else None
    database = url.database if url is not None else None
    if database is not None and not Path(database).exists():
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
    """The first of :func:`trial_frames`."""
    return trial_frames(client, manifest)[0]


def trial_frames(
    client: MlflowClient, manifest: Manifest
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per planned cell, whether or not its trial exists; and the removed ones.

    Args:
        client: Of the store.
        manifest: The planned study; its cells are the rows, in order.

    Returns:
        Columns ``arm``, ``seed``, ``key``, ``num_tries`` (failed ones among them; one
        that was interrupted goes on as the same), ``failed_tries`` (as in
        :data:`ablations.record.TRIES_TAG`), ``status`` (as in
        :data:`ablations.record.Status`, ``unfinished`` or ``missing``), ``reason``,
        ``notes``, ``run_id``, ``experiment_id``, ``ended`` (milliseconds since 1970, 0
        when unknown), ``commit``, ``dirty``, ``command``, ``data_digest``, then one
        column per logged ``eval/`` and ``cost/`` metric and the metric that counts,
        NaN where there is none. Then the same of the cells that the table no longer
        has, if the store has their trials.
    """
    tag = study_tag(manifest.study["name"])
    runs: dict[str, list[StoredRun]] = defaultdict(list)
    for run in search(client, experiment_names(client), f"tags.`{tag}` LIKE '%'"):
        runs[run.tags.get(KEY_TAG, "")].append(run)
    left = [cell for cell in manifest.removed if cell.key in runs]
    chosen = manifest_metric(manifest).logged_as
    return _frame(runs, manifest.cells, chosen), _frame(runs, left, chosen)


def _frame(
    runs: Mapping[str, Sequence[StoredRun]], cells: Iterable[ManifestCell], chosen: str
) -> pd.DataFrame:
    """A row for every cell, with the final metrics and the chosen one."""
    found = [(cell, runs.get(cell.key, ())) for cell in cells]
    best = [max(tries, key=_rank, default=None) for _, tries in found]
    names = {name for run in best if run for name in run.metrics}
    metrics = sorted(n for n in names if n == chosen or n.startswith(FINAL_PREFIXES))
    rows = [
        {
            "arm": cell.arm,
            "seed": cell.seed,
            "key": cell.key,
            **_tries(tries),
            **_trial_row(run, metrics),
        }
        for (cell, tries), run in zip(found, best, strict=True)
    ]
    return pd.DataFrame(rows)


def _tries(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """How often a trial was tried in its runs, of which it mostly has one."""
    failed = [one for run in sorted(runs, key=age) for one in _failed_tries(run)]
    others = [run for run in runs if run.tags.get(STATUS_TAG) in (None, *DONE)]
    return {"num_tries": len(failed) + len(others), "failed_tries": failed}


def _failed_tries(run: StoredRun) -> tuple[FailedTry, ...]:
    """As tagged; a failure before there was such a tag is one."""
    if tagged := run.tags.get(TRIES_TAG):
        return FAILED_TRIES.validate_json(tagged)
    status, reason = _status(run)
    if status in (*DONE, "unfinished"):
        return ()
    return (FailedTry.model_validate({"status": status, "reason": reason}),)


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
    """Of several runs of a trial the greatest counts: a done one, else the latest."""
    return (is_done(run.tags), *age(run))


def age(run: StoredRun) -> tuple[int, str]:
    """Sorts runs, the last one last."""
    return (int(run.tags.get(OPENED_TAG) or run.started), run.run_id)


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
