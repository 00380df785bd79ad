"""The Optuna study of a search: opened, resumed after a crash, and read.

A trial of Optuna is asked for, trained under its key, and told. What a crash leaves
between is closed as failed and asked for again, so that its settings are not lost and
count once.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import optuna
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from ablations.identity import SCHEMA_VERSION
from ablations.record import DONE
from ablations.redaction import redacted
from ablations.search.bound_space import BoundSpace
from d2v_core.errors import ConfigError, Problem
from sweeps.search.distributions import to_optuna
from sweeps.tracking.address import parse_address, sqlite_address
from sweeps.tracking.stores import Stores

END, REASON, KEY, FOUND = "end", "reason", "key", "found in the store"
TRAINING = "training"
"""User attributes of a trial; :class:`ablations.search.record.SearchTrial` has them."""
COSTS = {
    None: "",
    "training_seconds": "training time (s)",
    "flops": "operations of the training (FLOPs)",
}
ATTEMPTS, PAUSE_SECONDS = 5, 0.2
MADE_MEANWHILE = ("already exists", "unique", "duplicate", "locked")
"""What SQLite and PostgreSQL say when two make the same tables at once."""
Direction = Literal["minimize", "maximize"]
SPACE = "space"
"""User attribute of a study: what it searches."""


def search_id(bound: BoundSpace) -> str:
    """Names a search: space, modality, scale, and a digest of the other options."""
    request = bound.request
    parts = [bound.space.name, request.modality, request.scale]
    options = [sorted(request.assignments), list(request.seeds or (0,))]
    if options != [[], [0]]:
        parts.append(hashlib.sha256(json.dumps(options).encode()).hexdigest()[:8])
    return "-".join(parts)


def default_storage(stores: Stores) -> str:
    """A SQLite file beside the results."""
    return sqlite_address(stores.storage / "search.db").uri


def open_storage(uri: str) -> BaseStorage:
    """Optuna's store.

    Raises:
        ConfigError: It cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = parse_address(uri, "--optuna-storage", web=False).file
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _made_by_one(lambda: RDBStorage(uri))
    except Exception as error:  # whatever SQLAlchemy and its drivers raise
        reason = redacted((str(error).splitlines() or [type(error).__name__])[0])
        requirement = (
            "must be a database Optuna can use, such as sqlite:////folder/search.db "
            "or postgresql+psycopg2://user@host/name"
        )
        raise ConfigError(
            [Problem("--optuna-storage", f"{requirement}; {reason}")]
        ) from error


def _made_by_one(opened: Callable[[], BaseStorage]) -> BaseStorage:
    """Open a store that another process may be making at this moment.

    Optuna makes its tables one by one, outside a transaction, so whoever comes second
    finds some of them there.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return opened()
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            if not any(sign in str(error).lower() for sign in MADE_MEANWHILE):
                raise
            time.sleep(PAUSE_SECONDS)
    return opened()


def open_study(bound: BoundSpace, storage: BaseStorage) -> optuna.Study:
    """The study of a search, new or continued; the paper's setting comes first.

    Nobody else may be at the same search.

    Raises:
        ConfigError: The search began with another space.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=search_id(bound),
        directions=directions(bound),
        load_if_exists=True,
    )
    space = _fingerprint(bound)
    began_with = study.user_attrs.get(SPACE)
    if began_with is None:
        study.set_user_attr(SPACE, space)
    elif began_with != space:
        is_older = began_with.get("schema") != SCHEMA_VERSION
        older = "settings or metrics that meant something else"
        what = older if is_older else "another space or recipe"
        requirement = f"the search {search_id(bound)} began with {what}"
        remedy = "give the space another name, or undo the change"
        raise ConfigError([Problem("d2v search", f"{requirement}; {remedy}")])
    titles = [f"{bound.metric.title}, validation split", COSTS[bound.space.cost]]
    with _no_experimental_warning():
        study.set_metric_names(titles[: len(study.directions)])
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(to_optuna(bound, bound.paper))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if not counts(study.trials[trial.number]):
            study.enqueue_trial(trial.params)
    return study


def directions(bound: BoundSpace) -> list[Direction]:
    """Directions of the metric, and of the cost if there is one."""
    metric: Direction = "maximize" if bound.metric.higher_is_better else "minimize"
    return [metric, "minimize"] if bound.space.cost else [metric]


def make_sampler(study: optuna.Study, seed: int) -> TPESampler:
    """TPE over groups of parameters that exist together.

    A continued search draws other numbers than its beginning did.
    """
    drawn = len(study.get_trials(deepcopy=False))
    with _no_experimental_warning():
        return TPESampler(seed=seed + drawn, multivariate=True, group=True)


@contextmanager
def _no_experimental_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial has been told, rather than cut off by a crash."""
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get(END, "finished") not in DONE
    return bool(trial.state in (TrialState.COMPLETE, TrialState.PRUNED))


def num_ended(study: optuna.Study) -> int:
    """Trials that count."""
    return sum(map(counts, study.get_trials(deepcopy=False)))


def _fingerprint(bound: BoundSpace) -> dict[str, Any]:
    """What must stay the same for trials to be comparable."""
    fingerprint = {
        "parameters": [p.model_dump(mode="json") for p in bound.parameters],
        "metric": bound.metric.validation,
        "cost": bound.space.cost,
        "paper": bound.paper,
        "schema": SCHEMA_VERSION,
    }
    plain: dict[str, Any] = json.loads(json.dumps(fingerprint))
    return plain
