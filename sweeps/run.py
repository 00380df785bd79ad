"""Run studies: plan, compare with the store, train what is missing, keep the books."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from d2v_core.modalities import modality_of
from sweeps.books import Books, Outcome
from sweeps.engine import Job, train_with_ray
from sweeps.planning import StudyPlan
from sweeps.stores import Stores
from sweeps.tracker import Tracker, checkpoint_of


def run_studies(
    plans: Sequence[StudyPlan],
    stores: Stores,
    *,
    command: str,
    console: Console,
    address: str | None = None,
) -> Outcome:
    """Train every trial the store lacks, each once, and record everything.

    Args:
        plans: The studies; their order decides where a shared trial is logged.
        stores: Already checked.
        command: The command line, for the records.
        console: For progress.
        address: Of a Ray cluster; None starts Ray on this machine.

    Raises:
        DataError: The data is broken; nothing has been written.
    """
    began = time.monotonic()
    data_names = prepare_data(plans)
    tracker = Tracker(stores, command)
    books = Books(plans, tracker, stores, console, data_names)
    jobs = [
        Job(cell, checkpoint_of(stores, key), data_names[key], digest)
        for key, (cell, digest) in books.missing().items()
    ]
    books.open(make_command=command)
    try:
        if jobs:
            with books.view:
                train_with_ray(jobs, books, address=address)
    except KeyboardInterrupt:
        books.outcome.interrupted = True
    finally:
        books.close()
    books.outcome.seconds = time.monotonic() - began
    return books.outcome


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
