"""From the tracking store to a planned study and a tidy frame of its trials.

Numbers come from the metrics and tags of runs, in one paginated search per study; no
artifact of a trial is opened for a table.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from ablations.record import (
    KEY_TAG,
    MANIFEST_ARTIFACT,
    MODALITY_TAG,
    NOTES_TAG,
    OPENED_TAG,
    REASON_TAG,
    RECORD_ARTIFACT,
    REQUEST_TAG,
    ROLE_TAG,
    SCALE_TAG,
    STATUS_TAG,
    Manifest,
    Record,
    is_done,
    study_tag,
)
from d2v_core.config.parsing import nearest
from d2v_core.errors import ConfigError, Problem

PAGE_SIZE = 1_000
"""Runs per search request; every MLflow backend accepts it."""

METRIC_PREFIXES = ("eval/", "cost/")
"""Final metrics; the others are curves over training."""

Location = tuple[str, str, str]
"""Study, modality, scale."""


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


def find_manifest(
    client: MlflowClient,
    study: str,
    modality: str,
    scale: str,
    request_id: str | None = None,
) -> tuple[Manifest, str]:
    """The plan of a study and the id of its parent run.

    Where several requests answer to the same study, modality and scale (they differ in
    ``--set``), the one run last is taken, or the one with ``request_id``.

    Raises:
        ConfigError: The store has no such study run; says which ones it has.
    """
    names = _experiment_names(client)
    parents: dict[Location, list[Run]] = {}
    for run in _search(client, names, f"tags.`{ROLE_TAG}` = 'study'"):
        tags = run.data.tags
        if request_id not in (None, tags.get(REQUEST_TAG)):
            continue
        place = (
            names[run.info.experiment_id],
            tags.get(MODALITY_TAG, ""),
            tags.get(SCALE_TAG, ""),
        )
        parents.setdefault(place, []).append(run)
    wanted = (study, modality, scale)
    for run in sorted(parents.get(wanted, []), key=_age, reverse=True):
        text = _read_artifact(client, run.info.run_id, MANIFEST_ARTIFACT)
        if text is not None:
            return Manifest.model_validate_json(text), run.info.run_id
    raise ConfigError([_unknown_study(wanted, parents)])


def trial_frame(client: MlflowClient, manifest: Manifest) -> pd.DataFrame:
    """One row per planned cell, whether or not its trial exists.

    Args:
        client: Of the store.
        manifest: The planned study; its cells are the rows, in order.

    Returns:
        Columns ``arm``, ``seed``, ``key``, ``status`` (``finished``, ``collapsed``,
        ``failed``, ``unfinished`` or ``missing``), ``reason``, ``notes``, ``run_id``,
        ``experiment_id``, ``ended`` (milliseconds since 1970, 0 when unknown), then one
        column per logged ``eval/`` and ``cost/`` metric, NaN where there is none.
    """
    names = _experiment_names(client)
    tag = study_tag(manifest.study["name"])
    runs = best_runs(_search(client, names, f"tags.`{tag}` LIKE '%'"))
    found = [runs.get(cell.key) for cell in manifest.cells]
    metrics = sorted(
        {name for run in found if run for name in run.data.metrics if _is_final(name)}
    )
    rows = [
        {
            "arm": cell.arm,
            "seed": cell.seed,
            "key": cell.key,
            **_trial_row(run, metrics),
        }
        for cell, run in zip(manifest.cells, found, strict=True)
    ]
    return pd.DataFrame(rows)


def best_runs(runs: Iterable[Run]) -> dict[str, Run]:
    """One run per trial key: a done one before any other, then the latest."""
    best: dict[str, Run] = {}
    for run in runs:
        key = run.data.tags.get(KEY_TAG)
        if key is not None and (key not in best or _rank(run) > _rank(best[key])):
            best[key] = run
    return best


def read_environment(client: MlflowClient, frame: pd.DataFrame) -> Mapping[str, str]:
    """Versions and device as the study's first done trial recorded them, else empty."""
    done = frame[frame["status"].isin(["finished", "collapsed"])]
    for run_id in done["run_id"].head(1):
        text = _read_artifact(client, run_id, RECORD_ARTIFACT)
        if text is not None:
            return Record.model_validate_json(text).environment
    return {}


def _trial_row(run: Run | None, metrics: Iterable[str]) -> dict[str, Any]:
    if run is None:
        status, reason, logged = "missing", "not run yet", {}
        place: dict[str, Any] = {"run_id": "", "experiment_id": "", "ended": 0}
        notes = ""
    else:
        status, reason = _status(run)
        logged, notes = run.data.metrics, run.data.tags.get(NOTES_TAG, "")
        place = {
            "run_id": run.info.run_id,
            "experiment_id": run.info.experiment_id,
            "ended": run.info.end_time or 0,
        }
    numbers = {name: logged.get(name, float("nan")) for name in metrics}
    return {"status": status, "reason": reason, "notes": notes, **place, **numbers}


def _status(run: Run) -> tuple[str, str]:
    """How a trial stands; a run without a record is neither done nor failed."""
    status = run.data.tags.get(STATUS_TAG)
    if status is not None:
        return status, run.data.tags.get(REASON_TAG, "")
    if run.info.status in ("RUNNING", "SCHEDULED"):
        return "unfinished", "started, no result yet (running or interrupted)"
    return "unfinished", f"ended as {run.info.status} without a record"


def _rank(run: Run) -> tuple[bool, int, str]:
    return (is_done(run.data.tags), *_age(run))


def _age(run: Run) -> tuple[int, str]:
    opened = run.data.tags.get(OPENED_TAG)
    return (int(opened or run.info.start_time or 0), run.info.run_id)


def _is_final(metric: str) -> bool:
    return metric.startswith(METRIC_PREFIXES)


def _experiment_names(client: MlflowClient) -> dict[str, str]:
    names: dict[str, str] = {}
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=PAGE_SIZE, page_token=token)
        names |= {experiment.experiment_id: experiment.name for experiment in page}
        token = page.token
        if not token:
            return names


def _search(
    client: MlflowClient, experiments: Iterable[str], condition: str
) -> Iterator[Run]:
    token: str | None = None
    ids = list(experiments)
    while ids:
        page = client.search_runs(
            ids, condition, max_results=PAGE_SIZE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _read_artifact(client: MlflowClient, run_id: str, name: str) -> str | None:
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


def _unknown_study(wanted: Location, known: Iterable[Location]) -> Problem:
    described = f"{wanted[0]!r} ({wanted[1]}, {wanted[2]})"
    places = sorted(known)
    if not places:
        return Problem("", f"this tracking store has no study run; wanted {described}")
    if wanted in places:
        return Problem(
            "",
            f"the run of {described} has no {MANIFEST_ARTIFACT}; run the study again",
        )
    names = {name for name, _, _ in places}
    hint = "" if wanted[0] in names else nearest(names, wanted[0])
    listed = ", ".join(f"{name} ({kind}, {scale})" for name, kind, scale in places)
    return Problem(
        "", f"this tracking store has no run of {described}; it has {listed}{hint}"
    )
