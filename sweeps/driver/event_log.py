"""The machine-readable log of a run: one JSON object per line, written as it happens.

Every line has ``time`` (unix seconds) and ``event``:

- ``run_started``: ``command``, ``tracking_uri``, ``trials`` (by key: study, arm, seed)
- ``claimed``: ``to_train`` and ``cached`` (keys)
- ``trial_started``: ``key``, ``step`` (above 0 when resumed), ``num_steps``
- ``progress``, at most every ten seconds: ``counts``, ``eta_seconds``, ``steps`` (of
  running trials, by key)
- ``trial_ended``: ``key``, ``status`` (also ``stopped_early``, by a search),
  ``reason``, ``metrics``
- ``trial_stopped``: ``key``, ``trouble`` (empty: its state is saved)
- ``message``: ``text``, as shown to people
- ``run_ended``: ``summary``, ``trained``, ``failed``, ``unfinished``
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablations.record import Record, Status
from ablations.redaction import redacted
from sweeps.driver.outcome import Outcome
from sweeps.driver.progress import Board
from sweeps.listener import Listener
from sweeps.planned import StudyPlan
from sweeps.tracking.stores import Stores

PROGRESS_SECONDS = 10.0


class EventLog(Listener):
    """Appends lines to a file of its own, below ``events`` of the storage folder.

    A disk that is full does not end a run: the log then lacks lines.

    Args:
        storage: The storage folder.
        board: State of the trials, already told what is logged here.
    """

    def __init__(self, storage: Path, board: Board) -> None:
        self._board = board
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        self.file = storage / "events" / f"{stamp}-{os.getpid()}.jsonl"
        self._last_progress = 0.0

    def write(self, event: str, **fields: Any) -> None:
        """Append a line."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields})
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as file:
                file.write(redacted(line) + "\n")

    def run_started(
        self, command: str, plans: Sequence[StudyPlan], stores: Stores
    ) -> None:
        """What was asked for."""
        trials = {
            cell.key: {"study": plan.name, "arm": cell.arm.label, "seed": cell.seed}
            for plan in reversed(plans)
            for cell in plan.cells
        }
        uri = stores.shown_uri
        self.write("run_started", command=command, tracking_uri=uri, trials=trials)

    def claimed(self) -> None:
        """What will be trained, and what need not be."""
        trials = self._board.trials.items()
        keys = {
            s: [k for k, t in trials if t.state == s] for s in ("waiting", "cached")
        }
        self.write("claimed", to_train=keys["waiting"], cached=keys["cached"])

    def message(self, text: str) -> None:
        """What people are told besides."""
        self.write("message", text=text)

    def run_ended(self, outcome: Outcome) -> None:
        """What came out."""
        self.write(
            "run_ended",
            summary=outcome.sentence(),
            trained=outcome.trained.total(),
            failed=len(outcome.failed),
            unfinished=outcome.num_unfinished,
        )

    def trial_started(self, key: str, step: int, num_steps: int) -> None:
        """See :class:`sweeps.listener.Listener`."""
        self.write("trial_started", key=key, step=step, num_steps=num_steps)

    def trial_progressed(
        self, key: str, progress: Sequence[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        """Counts, steps of running trials and the estimate, now and then."""
        if time.monotonic() - self._last_progress < PROGRESS_SECONDS:
            return
        self._last_progress = time.monotonic()
        trials = self._board.trials
        self.write(
            "progress",
            counts=self._board.counts(),
            eta_seconds=self._board.eta_seconds(),
            steps={k: t.step for k, t in trials.items() if t.state == "running"},
        )

    def trial_ended(self, record: Record, timestamp: int) -> None:
        """See :class:`sweeps.listener.Listener`."""
        result = {"status": record.status, "reason": record.reason}
        metrics = {"seconds": self._board.trials[record.key].seconds, **record.metrics}
        self.write("trial_ended", key=record.key, **result, metrics=metrics)

    def trial_stopped(self, key: str, trouble: str) -> None:
        """See :class:`sweeps.listener.Listener`."""
        self.write("trial_stopped", key=key, trouble=trouble)

    def trial_lost(self, key: str, status: Status, reason: str) -> None:
        """See :class:`sweeps.listener.Listener`."""
        self.write("trial_ended", key=key, status=status, reason=reason, metrics={})

    def trial_given_up(self, key: str, reason: str) -> None:
        """See :class:`sweeps.listener.Listener`."""
        end = {"status": "stopped_early", "reason": reason}
        self.write("trial_ended", key=key, **end, metrics={})
