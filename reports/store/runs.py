"""The runs of a store and their artifacts, page by page; nothing is computed here."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url

from d2v_core.errors import ConfigError, Problem
from reports.store.foreign import MAX_BYTES, Origin, usable_metrics, usable_moment

PAGE_SIZE = 500
"""Runs per search request; every MLflow backend accepts it.

Fewer cost time, more cost memory (docs/performance.md).
"""

READABLE = "attributes.start_time > 0"
"""A condition that leaves out runs that MLflow's client refuses to read."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as reports need it: without its settings, of which there are dozens.

    Attributes:
        run_id: The run.
        experiment_id: Its experiment.
        status: MLflow's own.
        started: Milliseconds since 1970.
        ended: Milliseconds since 1970; 0 when unknown.
        tags: All of them.
        metrics: Last values.
        data_digest: That of its data set; empty when unknown.
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
    """The runs that meet a condition, page by page.

    A run that MLflow itself cannot read would take its page down; it is left out, which
    is said.
    """
    token: str | None = None
    ids = list(experiments)
    while ids:
        try:
            page = client.search_runs(
                ids, condition, max_results=PAGE_SIZE, page_token=token
            )
        except MlflowException as error:
            if "start_time" not in str(error) or READABLE in condition:
                raise
            _log.warning("runs without a start are left out; delete them in MLflow")
            condition = f"{condition} AND {READABLE}"
            continue
        token = page.token
        yield from map(_slim, page)
        if not token:
            return


def _slim(run: Run) -> StoredRun:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return StoredRun(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        started=usable_moment(run.info.start_time),
        ended=usable_moment(run.info.end_time),
        tags=run.data.tags,
        metrics=usable_metrics(run.data.metrics),
        data_digest=inputs[0].dataset.digest if inputs else "",
    )


def read_artifact(client: MlflowClient, name: str, origin: Origin) -> str | None:
    """The text of an artifact of a run, or None where it has none of that name.

    Raises:
        StoreContentError: It is too large, cannot be read, or is no text.
    """
    with tempfile.TemporaryDirectory() as folder, _no_progress_bar():
        try:
            path = Path(client.download_artifacts(origin.run_id, name, folder))
            if path.stat().st_size > MAX_BYTES:
                raise origin.fault(name, f"must have at most {MAX_BYTES >> 20} MiB")
            return path.read_text(encoding="utf-8")
        except (MlflowException, FileNotFoundError):
            return None
        except UnicodeDecodeError:
            raise origin.fault(name, "is no text; run the study again") from None
        except OSError as error:
            raise origin.fault(name, f"cannot be read ({error})") from None


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
