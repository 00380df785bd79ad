"""Translates Ray Tune's callback, which gives too much, into the listener's words.

Imported only once Ray's environment is set (:mod:`sweeps.ray.engine`).
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from ray.tune import Callback

from ablations.record import Record, Status
from sweeps.listener import Listener
from sweeps.ray.compat import can_end_worker, end_worker, grant_restart, last_error
from sweeps.ray.frozen_workers import START_SECONDS, FrozenWorkers
from sweeps.ray.memory_kills import LowMemoryError
from sweeps.ray.node_losses import NodeLosses, num_dead_nodes
from sweeps.worker.job import spool_of


class ListenerCallback(Callback):
    """Unpacks the workers' reports on the driver.

    Args:
        listener: Hears them in order.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener, self._say = listener, listener.ray_lacks
        self._ended: set[str] = set()
        grant = partial(grant_restart, say=self._say)
        self._losses = NodeLosses(num_dead_nodes, grant)
        self._frozen = FrozenWorkers(end_worker)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles callbacks for a restore that is never used here."""
        return {}

    def __deepcopy__(self, memo: Any) -> ListenerCallback:
        return self

    def on_trial_start(
        self, iteration: int, trials: Any, trial: Any, **info: Any
    ) -> None:
        """Expect a sign of life: the process is there, and has yet to load much."""
        execution = json.loads(trial.config["job"])["trial"]["execution"]
        limit = execution["silence_seconds"]
        if limit is not None and execution["num_workers"] == 1:
            self._heard(trial, limit + START_SECONDS)

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any
    ) -> None:
        """Pass on one report of :func:`sweeps.worker.trial.run_job`."""
        key = trial.config["key"]
        self._heard(trial, result.get("alive"))
        if loss := result.get("lost"):
            self._say(loss)
        if line := result.get("said"):
            self._listener.said(line)
        if started := result.get("started"):
            self._listener.trial_started(key, started["step"], started["num_steps"])
            if line := started.get("data"):
                self._listener.said(line)
        if progress := result.get("progress"):
            self._listener.trial_progressed(key, progress)
        if result.get("stopped"):
            self._listener.trial_stopped(key, result.get("trouble", ""))
        record = result.get("record")
        if record and key not in self._ended:  # Tune repeats a trial's last report
            self._ended.add(key)
            self._listener.trial_ended(
                Record.model_validate_json(record), result["time"]
            )

    def on_trial_recover(
        self, iteration: int, trials: Any, trial: Any, **info: Any
    ) -> None:
        """Note that its process died, and that it is started again."""
        self._frozen.over(trial)
        self._losses.trial_failed(trial)

    def on_trial_complete(
        self, iteration: int, trials: Any, trial: Any, **info: Any
    ) -> None:
        """Expect no more: it has reported for the last time."""
        self._frozen.over(trial)

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Look around: Tune has handled an event, or waited a tenth of a second."""
        self._frozen.look()
        self._losses.look()

    def on_trial_error(
        self, iteration: int, trials: Any, trial: Any, **info: Any
    ) -> None:
        """Record a trial whose process died too often, perhaps at its very end."""
        self._frozen.over(trial)
        key, spool = trial.config["key"], spool_of(json.loads(trial.config["job"]))
        if key in self._ended:  # and its process died before it could say goodbye
            return
        if ended := spool.read_record():
            if history := spool.read_progress():
                self._listener.trial_progressed(key, history)
            self._listener.trial_ended(*ended)
            return
        died = f"the worker process died {trial.num_failures} times"
        if isinstance(last_error(trial, self._say), LowMemoryError):
            status: Status = "out_of_memory"
            reason = f"{died}: Ray ends processes before the machine is out of memory"
        elif seconds := self._frozen.seconds_frozen(trial):
            status = "timed_out"
            reason = f"{died}: the last one had been frozen for {seconds:g} seconds"
        else:
            status, reason = "failed", died
        self._listener.trial_lost(key, status, reason)

    def _heard(self, trial: Any, promised: float | None) -> None:
        if promised is None or can_end_worker(trial, self._say):
            self._frozen.heard(trial, promised)
