"""Run a search: suggest, train, tell, until as many trials as wanted have ended."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from rich.console import Console

from ablations.search.bound_space import BoundSpace
from d2v_core.errors import ConfigError, Problem
from sweeps.driver.bookkeeper import open_tracker
from sweeps.driver.event_log import EventLog
from sweeps.driver.outcome import Outcome
from sweeps.driver.progress import LiveView
from sweeps.listener import Listeners
from sweeps.ray.session import RaySession
from sweeps.search.bookkeeper import SearchBoard, SearchBookkeeper
from sweeps.search.cells import Cells
from sweeps.search.distributions import from_optuna
from sweeps.search.engine import search_with_ray
from sweeps.search.study import (
    KEY,
    REASON,
    TRAINING,
    make_sampler,
    num_ended,
    open_storage,
    open_study,
    search_id,
)
from sweeps.stopping import StopRequest
from sweeps.tracking.locks import TrialLocks
from sweeps.tracking.stores import Stores
from sweeps.tracking.writer import StoreWriteError


@dataclass(frozen=True)
class Searched:
    """A search that has ended, or was stopped.

    Attributes:
        study: Optuna's.
        paper_key: Key of the paper's setting.
        outcome: What was trained.
    """

    study: optuna.Study
    paper_key: str
    outcome: Outcome


def run_search(
    bound: BoundSpace,
    stores: Stores,
    *,
    num_trials: int,
    optuna_storage: str,
    command: str,
    console: Console,
    address: str | None = None,
) -> Searched:
    """Search until ``num_trials`` have ended, those of earlier runs included.

    Args:
        bound: The space.
        stores: Already checked.
        num_trials: In all.
        optuna_storage: URI of Optuna's store.
        command: The command line, for the records.
        console: For progress.
        address: Address of a Ray cluster; None starts Ray on this machine.

    Raises:
        ConfigError: The cluster, or Optuna's store, cannot be used, or this search is
            running already.
        DataError: The data is broken; nothing has been written.
        StoreWriteError: The tracking store refused a write, or Optuna's store failed.
    """
    began = time.monotonic()
    cells = Cells(bound)
    plan = cells.plan_search()
    stop = StopRequest(stores.storage)
    with RaySession(address, stores) as session, TrialLocks(stores.storage) as locks:
        session.check({"": bound.base}, lacks=lambda key: True)
        board = SearchBoard([plan], session.num_at_once([bound.base]))
        log = EventLog(stores.storage, board)
        view = LiveView(board, console, on_say=log.message)
        _take_alone(bound, locks)
        study = open_study(bound, open_storage(optuna_storage))
        left = num_trials - num_ended(study)
        board.num_wanted, board.num_not_asked = num_trials, max(0, left)
        if left > 0:
            # Ray starts while the tracking store is made.
            session.begin()
        tracker = partial(open_tracker, stores, command)
        bookkeeper = SearchBookkeeper(
            [plan], tracker, stores, view, cells.data_names, locks, stop
        )
        outcome = bookkeeper.outcome
        outcome.event_log = log.file
        with stop.on_interrupt(view.say):
            try:
                bookkeeper.open(make_command=command)
                log.run_started(command, [plan], stores)
                _tidy(study, cells, bookkeeper)
                if left > 0:
                    _train(cells, bookkeeper, study, session, stop, log, left)
            except KeyboardInterrupt:
                stop.make()
            except StorageInternalError as error:
                stop.make()
                requirement = f"Optuna's store failed ({str(error).splitlines()[0]})"
                remedy = "finished trials are safe: put the cause right, then again"
                raise StoreWriteError(f"{requirement}; {remedy}") from error
            finally:
                bookkeeper.close()
                outcome.seconds = time.monotonic() - began
                log.run_ended(outcome)
    return Searched(study, cells.plan_cell(bound.paper, 0).key, outcome)


def _train(
    cells: Cells,
    bookkeeper: SearchBookkeeper,
    study: optuna.Study,
    session: RaySession,
    stop: StopRequest,
    log: EventLog,
    num_trials: int,
) -> None:
    """Ask for so many trials, and train those that nobody has."""
    session.start()
    from sweeps.search.searcher import StoredSearch

    study.sampler = make_sampler(study, cells.bound.base.seed)
    listeners = Listeners(bookkeeper, log)
    searcher = StoredSearch(cells, bookkeeper, listeners, study, num_trials, stop)
    with bookkeeper.view:
        search_with_ray(searcher, listeners, session, cells.bound, num_trials)


def _take_alone(bound: BoundSpace, locks: TrialLocks) -> None:
    """Two runs of one search would close each other's trials.

    Raises:
        ConfigError: Another one is running.
    """
    name = search_id(bound)
    if not locks.take(hashlib.sha256(name.encode()).hexdigest()[:16]):
        requirement = f"{name} is running already on this storage"
        remedy = "wait for it; more trials at once need more resources (--address)"
        raise ConfigError([Problem("d2v search", f"{requirement}; {remedy}")])


def _tidy(study: optuna.Study, cells: Cells, bookkeeper: SearchBookkeeper) -> None:
    """Hand in what a crash left of trials that Optuna had been told of."""
    for trial in study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)):
        key, training = trial.user_attrs[KEY], trial.user_attrs.get(TRAINING, "")
        spool = bookkeeper.trials.spool_of(key, training)
        if not spool.exists:
            continue
        if trial.state == TrialState.PRUNED:
            bookkeeper.forget(key, spool, trial.user_attrs[REASON])
        else:
            bookkeeper.add(cells.plan_cell(from_optuna(trial.params), trial.number))
    for cell in bookkeeper.claim():  # nothing was left of it
        del bookkeeper.board.trials[cell.key]
