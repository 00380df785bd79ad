"""From Ray Tune's callback, which gives too much, to the listener's four words.

Imported only once Ray's environment is set (:mod:`sweeps.engine`).
"""

from __future__ import annotations

from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from ablations.record import Record, Status
from sweeps.listener import Listener
from sweeps.node_losses import NodeLosses, num_dead_nodes


class ListenerCallback(tune.Callback):
    """Unpacks the workers' reports on the driver.

    Args:
        listener: Hears them in order.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._ended: set[str] = set()
        self._over: list[Trial] = []
        self._losses = NodeLosses(num_dead_nodes)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles callbacks for a restore that is never used here."""
        return {}

    def __deepcopy__(self, memo: Any) -> ListenerCallback:
        return self

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any
    ) -> None:
        """One report of :func:`sweeps.worker.run_job`."""
        key = trial.config["key"]
        if started := result.get("started"):
            self._listener.trial_started(key, started["step"], started["num_steps"])
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
        """Its process died, and it is started again."""
        self._losses.trial_failed(trial)

    def on_trial_complete(
        self, iteration: int, trials: Any, trial: Any, **info: Any
    ) -> None:
        """It has reported for the last time."""
        self._over.append(trial)

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Tune has handled one event."""
        self._losses.look()
        while self._over:
            forget(self._over.pop())

    def on_trial_error(
        self, iteration: int, trials: Any, trial: Any, **info: Any
    ) -> None:
        """The trial's process died too often."""
        cause = trial.get_pickled_error()
        if isinstance(cause, ray.exceptions.OutOfMemoryError):
            status: Status = "out_of_memory"
            reason = "Ray ended the worker process: the machine ran out of memory"
        else:
            status = "failed"
            reason = f"the worker process died {trial.num_failures} times"
        self._listener.trial_lost(trial.config["key"], status, reason)


def forget(trial: Trial) -> None:
    """Drop what Tune would keep of an ended trial until the run is over.

    It is meant for restores and tables of results, which the tracking store serves
    here, and makes up nine tenths of a trial's memory on the driver.
    """
    rest = type(trial.run_metadata)()
    rest.checkpoint_manager = trial.run_metadata.checkpoint_manager
    rest.last_result = {"done": True}  # empty, Tune would ask the worker for one
    trial.run_metadata, trial.experiment_tag = rest, ""
    trial.config, trial.evaluated_params = {}, {}
