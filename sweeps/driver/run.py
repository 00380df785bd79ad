"""Run studies: compare with the store, train what is missing, record it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache, partial

from rich.console import Console

from d2v_core.config import TrialConfig
from d2v_core.errors import DataError
from d2v_core.modalities import modality_of
from sweeps.driver.bookkeeper import Bookkeeper, open_tracker
from sweeps.driver.budget import Budget
from sweeps.driver.event_log import EventLog
from sweeps.driver.outcome import Outcome
from sweeps.driver.progress import Board, LiveView
from sweeps.driver.trainings import TrainingPolicy
from sweeps.listener import Listeners
from sweeps.plan.planning import unique_trials
from sweeps.planned import StudyPlan
from sweeps.ray.engine import train_with_ray
from sweeps.ray.session import RaySession
from sweeps.stopping import StopRequest
from sweeps.tracking.locks import TrialLocks
from sweeps.tracking.stores import Stores
from sweeps.worker.job import Job

POLL_SECONDS = 2.0


def run_studies(
    plans: Sequence[StudyPlan],
    stores: Stores,
    session: RaySession,
    *,
    command: str,
    console: Console,
    budget_seconds: float | None = None,
    bars: bool = False,
    policy: TrainingPolicy = TrainingPolicy(),  # noqa: B008 (frozen)
) -> Outcome:
    """Train and evaluate what the store lacks, each once, and record everything.

    Trials that another process is training are waited for, and trained here if it ends
    without their result.

    Args:
        plans: The studies; their order decides where a shared trial is logged.
        stores: Already checked.
        session: Begun if all has to be trained, else begun here when that is known.
        command: The command line, for the records.
        console: For progress.
        budget_seconds: Seeds that would take longer are not launched.
        bars: Whether running trials get a progress bar each.
        policy: What is done about encoders.

    Raises:
        ConfigError: Ray's cluster, or a trial on it, cannot work, or the budget is too
            small for one seed; nothing has been written.
        DataError: The data is broken; nothing has been written.
        StoreWriteError: The store refused a write.
    """
    began = time.monotonic()
    data_names = prepare_data(plans)
    budget = None
    if budget_seconds is not None:
        asked_for = [plan.with_arms(policy.arms) for plan in plans]
        budget = Budget.of_plans(budget_seconds, asked_for, stores)
    trials = {key: cell.trial for key, cell in unique_trials(plans).items()}
    stop = StopRequest(stores.storage)
    is_new = stores.is_new
    if is_new:
        session.check(trials, lacks=lambda key: True)
    with TrialLocks(stores.storage) as locks:
        tracker = cache(partial(open_tracker, stores, command))
        if not is_new:
            session.check(trials, lacks=tracker().lacks)
        board = Board(plans, session.num_at_once(trials.values()), bars=bars)
        log = EventLog(stores.storage, board)
        view = LiveView(board, console, on_say=log.message)
        bookkeeper = Bookkeeper(
            plans, tracker, stores, view, data_names, locks, stop, policy
        )
        bookkeeper.outcome.event_log = log.file
        with stop.on_interrupt(view.say):
            try:
                bookkeeper.open(make_command=command)
                log.run_started(command, plans, stores)
                _train_missing(bookkeeper, log, session, stop, budget)
            except KeyboardInterrupt:
                stop.make()
            finally:
                bookkeeper.close()
                if budget is not None and budget.spent and not stop.made:
                    bookkeeper.outcome.ended_by = "budget"
                bookkeeper.outcome.seconds = time.monotonic() - began
                log.run_ended(bookkeeper.outcome)
    return bookkeeper.outcome


def _train_missing(
    bookkeeper: Bookkeeper,
    log: EventLog,
    session: RaySession,
    stop: StopRequest,
    budget: Budget | None,
) -> None:
    """Until every trial has a result, or the run is to stop."""

    def may_launch(job: Job) -> bool:
        admitted = budget is None or budget.admits(job.cell.seed, bookkeeper.board)
        return admitted and not stop.made

    while jobs := _next_jobs(bookkeeper, stop, budget):
        log.claimed()
        with bookkeeper.view:
            train_with_ray(jobs, Listeners(bookkeeper, log), session, may_launch)


def _next_jobs(
    bookkeeper: Bookkeeper, stop: StopRequest, budget: Budget | None
) -> list[Job]:
    """Trials to train here; waits while all that is missing is trained elsewhere."""
    said = False
    while not stop.made and not (budget is not None and budget.spent):
        if claimed := bookkeeper.claim():
            return [bookkeeper.job(cell) for cell in claimed]
        elsewhere = bookkeeper.board.count("elsewhere")
        if not elsewhere:
            return []
        if not said:
            bookkeeper.view.say(
                f"waiting for {elsewhere} trials that another run trains"
            )
            said = True
        time.sleep(POLL_SECONDS)
    return []


def prepare_data(plans: Sequence[StudyPlan]) -> dict[str, str]:
    """Load (and so decode and check) every data set once; its name by trial key.

    So a broken file is told, and how far decoding is, before a trial starts.

    Raises:
        DataError: One is missing or broken, or there is no room to decode it.
    """
    names: dict[str, str] = {}
    loaded: dict[str, str] = {}
    for plan in plans:
        for cell in plan.cells:
            modality = modality_of(cell.trial)
            data = modality.same_data(cell.trial)
            if data not in loaded:
                loaded[data] = _loaded_name(cell.trial)
            names[cell.key] = loaded[data]
    return names


def _loaded_name(trial: TrialConfig) -> str:
    try:
        name: str = modality_of(trial).load_data(trial).name
    except OSError as error:
        message = f"cannot be read into the cache ({error.strerror or error})"
        remedy = "make space, or set D2V_CACHE to another folder"
        raise DataError(f"data: {message}; {remedy}") from error
    return name
