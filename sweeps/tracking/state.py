"""What a store says when it is asked one question, before anything depends on it.

Every verb asks it in its first seconds. A store that refuses, is another service, is of
another version or has lost the experiment is a mistake that a person mends, and no
outage to wait for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import NoReturn

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from ablations.redaction import redacted
from d2v_core.errors import ConfigError, Problem
from sweeps.tracking.address import Address
from sweeps.tracking.sqlite import MLFLOW, check_sqlite

OPTION = "--tracking-uri"
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""MLflow's own retries are few, for :mod:`sweeps.tracking.writer` has its own."""
NO_MLFLOW = (404, 405, 501)
"""HTTP answers of another service."""
REFUSALS = (401, 403, *NO_MLFLOW)
"""HTTP answers that no waiting changes."""


def quieten_mlflow() -> None:
    """Few retries, no address printed; what it logs as an error it raises too."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):  # no log of the tables they create
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow").getChild("store").setLevel(logging.CRITICAL)


def refuses(error: Exception) -> bool:
    """Whether an error is the store's own word, which no waiting changes."""
    if not isinstance(error, MlflowException):
        return False
    return _http_status(error) in REFUSALS or _is_no_json(error)


def check_state(address: Address, studies: Iterable[str]) -> None:
    """Ask an existing store for experiments.

    Args:
        address: Where somebody listens, or a file that is there.
        studies: Names of the experiments that are wanted.

    Raises:
        ConfigError: It does not answer as MLflow does, or an experiment is deleted.
    """
    if address.file is not None:
        check_sqlite(address.file, OPTION, MLFLOW)
    try:
        quieten_mlflow()
        client = MlflowClient(tracking_uri=address.uri)
        client.search_experiments(max_results=1)
        experiments = {name: client.get_experiment_by_name(name) for name in studies}
    except Exception as error:  # MLflow, SQLAlchemy, its drivers: many kinds
        _refuse(address, error)
    problems = [
        _deleted(address, experiment.name, experiment.experiment_id)
        for experiment in experiments.values()
        if experiment is not None and experiment.lifecycle_stage == "deleted"
    ]
    if problems:
        raise ConfigError(problems)


def _deleted(address: Address, name: str, experiment_id: str) -> Problem:
    restore = f"mlflow experiments restore --experiment-id {experiment_id}"
    message = f"the experiment {name!r} is deleted there, with all its trials"
    setting = f"MLFLOW_TRACKING_URI='{address.shown}' {restore}"
    other = "or give another --storage or --tracking-uri"
    return Problem(OPTION, f"{message}; restore it: {setting} ; {other}")


def _refuse(address: Address, error: Exception) -> NoReturn:
    raise ConfigError([Problem(OPTION, _reason(address, error))]) from error


def _reason(address: Address, error: Exception) -> str:
    """What an answer means, and what to do about it."""
    where, text = address.shown, redacted(_first_line(error))
    status = _http_status(error)
    if "out-of-date database schema" in str(error):
        remedy = f"copy it, then: mlflow db upgrade '{where}'"
        return f"{where} was written by another MLflow ({text}); {remedy}"
    if not address.is_web:
        return f"{where} cannot be used as MLflow's database ({text})"
    if status in (401, 403):
        remedy = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or _TOKEN)"
        return f"the server at {where} refuses us (HTTP {status}); {remedy}"
    if status in NO_MLFLOW or _is_no_json(error):
        answer = f"HTTP {status}" if status in NO_MLFLOW else "a page, no JSON"
        remedy = "give the address of mlflow server, or of d2v ui"
        return f"no MLflow at {where}: another service answers ({answer}); {remedy}"
    remedy = "look into its log; its database may be away"
    return f"the server at {where} cannot answer ({text}); {remedy}"


def _http_status(error: Exception) -> int:
    """0 for an error that MLflow did not raise."""
    if not isinstance(error, MlflowException):
        return 0
    return int(error.get_http_status_code())  # type: ignore[no-untyped-call]


def _is_no_json(error: Exception) -> bool:
    return "was not in a valid JSON format" in str(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]
