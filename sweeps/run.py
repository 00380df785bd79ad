"""Run studies: plan, compare with the store, train what is missing, keep the books."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from d2v_core.modalities import modality_of
from sweeps.books import Books, Outcome
from sweeps.engine import Job, train_with_ray
from sweeps.locks import TrialLocks
from sweeps.planning import StudyPlan
from sweeps.stopping import StopRequest
from sweeps.stores import Stores
from sweeps.tracker import Tracker

POLL_SECONDS = 2.0


def run_studies(
    plans: Sequence[StudyPlan],
    stores: Stores,
    *,
    command: str,
    console: Console,
    address: str | None = None,
) -> Outcome:
    """Train every trial the store lacks, each once, and record everything.

    Trials that another process is training are waited for, and trained here if it ends
    without their result.

    Args:
        plans: The studies; their order decides where a shared trial is logged.
        stores: Already checked.
        command: The command line, for the records.
        console: For progress.
        address: Of a Ray cluster; None starts Ray on this machine.

    Raises:
        DataError: The data is broken; nothing has been written.
        StoreWriteError: The store refused a write.
    """
    began = time.monotonic()
    data_names = prepare_data(plans)
    tracker = Tracker(stores, command)
    stop = StopRequest(stores.storage)
    with TrialLocks(stores.storage) as locks:
        books = Books(plans, tracker, stores, console, data_names, locks)
        hurry = True
        try:
            with stop.on_interrupt(books.view.say):
                books.open(make_command=command)
                while not stop.made and (jobs := _next_jobs(books, stop)):
                    with books.view:
                        train_with_ray(jobs, books, address=address)
                hurry = stop.made
        except KeyboardInterrupt:
            books.outcome.interrupted = True
        finally:
            books.close(hurry=hurry)
    books.outcome.seconds = time.monotonic() - began
    return books.outcome


def _next_jobs(books: Books, stop: StopRequest) -> list[Job]:
    """Trials to train here; waits while all that is missing is trained elsewhere."""
    told = False
    while True:
        if claimed := books.claim():
            return [books.job(cell, stop.file) for cell in claimed]
        elsewhere = books.board.count("elsewhere")
        if not elsewhere or stop.made:
            return []
        if not told:
            books.view.say(f"waiting for {elsewhere} trials that another run trains")
            told = True
        time.sleep(POLL_SECONDS)


def prepare_data(plans: Sequence[StudyPlan]) -> dict[str, str]:
    """Load (and so decode and check) every data set once; its name by trial key."""
    names: dict[str, str] = {}
    loaded: dict[str, str] = {}
    for plan in plans:
        for cell in plan.cells:
            modality = modality_of(cell.trial)
            data = modality.same_data(cell.trial)
            if data not in loaded:
                loaded[data] = modality.load_data(cell.trial).name
            names[cell.key] = loaded[data]
    return names
