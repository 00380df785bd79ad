"""Ray Tune's searcher that asks Optuna, and the store before it trains.

Imported only once Ray's environment is set. Optuna suggests; a suggestion that has a
result already, here or from a study, is answered at once; one that is being trained is
answered when that ends. Everything else goes to Ray.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState
from ray.tune.search import Searcher

from ablations.mlflow_names import (
    PROBE_STEP_METRIC,
    REASON_TAG,
    STATUS_TAG,
    TRAINING_SECONDS_METRIC,
    probe_metric,
)
from ablations.record import DONE, Record
from d2v_core.costs import estimate_cost
from d2v_core.errors import ConfigError
from sweeps.listener import Listener
from sweeps.planned import PlannedCell
from sweeps.search.bookkeeper import SearchBookkeeper
from sweeps.search.cells import Cells
from sweeps.search.distributions import suggest
from sweeps.search.study import END, FOUND, KEY, REASON, TRAINING
from sweeps.stopping import StopRequest
from sweeps.worker.job import packed


@dataclass(frozen=True)
class Verdict:
    """What Optuna is told of a trial.

    Attributes:
        end: As in :class:`ablations.search.record.SearchTrial`; empty: nothing is
            known, and its settings are asked for again.
        values: One for each objective, if it has a result.
        reason: Why it is not simply finished.
        probe: Step and value of the probe after which it was given up.
    """

    end: str
    values: tuple[float, ...] = ()
    reason: str = ""
    probe: tuple[int, float] | None = None


class StoredSearch(Searcher):
    """Suggests trials that the store lacks.

    Args:
        cells: Plans suggestions.
        bookkeeper: Keeps the search, already open.
        listener: Hears of trials that are given up; the bookkeeper among others.
        study: Already open, with its sampler, and the paper's setting waiting.
        num_trials: How many may be asked for.
        stop: No more suggestions once it is made.
    """

    def __init__(
        self,
        cells: Cells,
        bookkeeper: SearchBookkeeper,
        listener: Listener,
        study: optuna.Study,
        num_trials: int,
        stop: StopRequest,
    ) -> None:
        super().__init__()
        self._plan, self._bookkeeper, self._stop = cells, bookkeeper, stop
        self._listener, self._study = listener, study
        self._left = num_trials
        self._planned: dict[str, PlannedCell] = {}
        self._asked: dict[str, list[Trial]] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._keys: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """What Ray trains next; None: nothing yet."""
        if self._bookkeeper.store_is_away and not self._stop.made:
            return None  # asking it would hold up the trials that run
        while not self._stop.made:
            if key := self._to_train():
                self._keys[trial_id] = key
                return packed(self._bookkeeper.job(self._planned[key]))
            if not self._left:
                waits = self._bookkeeper.board.count("elsewhere")
                return None if waits else Searcher.FINISHED
            self._ask()
        return Searcher.FINISHED

    def _ask(self) -> None:
        """Take one more suggestion, which may have its answer already."""
        self._left -= 1
        self._bookkeeper.board.num_not_asked = self._left
        trial = self._study.ask()
        point = suggest(trial, self._plan.bound)
        try:
            cell = self._plan.plan_cell(point, trial.number)
        except ConfigError as error:
            self._tell(trial, Verdict("invalid", reason=str(error)))
            return
        trial.set_user_attr(KEY, cell.key)
        trial.set_user_attr(TRAINING, cell.training)
        if verdict := self._verdicts.get(cell.key):
            self._tell(trial, verdict, in_store=True)
        elif cell.key in self._asked:
            self._asked[cell.key].append(trial)
        else:
            self._asked[cell.key], self._planned[cell.key] = [trial], cell
            self._bookkeeper.add(cell)

    def _to_train(self) -> str | None:
        """The key of a trial that is ours to train; answers those that need none."""
        claimed = self._bookkeeper.claim()
        for key in [key for key in self._asked if self._state(key) == "cached"]:
            stored = self._bookkeeper.stored(key)
            assert stored is not None, "a cached trial is in the store"
            end = stored.tags[STATUS_TAG]
            reason = stored.tags.get(REASON_TAG, "")
            self._settle(key, self._verdict(key, end, stored.metrics, reason), True)
        for cell in claimed:
            self._bookkeeper.board.trials[cell.key].state = "running"
            return cell.key  # no more than one is suggested at a time
        return None

    def _state(self, key: str) -> str:
        return self._bookkeeper.board.trials[key].state

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Progress: only probes are of interest, and only to one objective."""
        probe = self._probe(result)
        if probe is not None and len(self._study.directions) == 1:
            for trial in self._asked[self._keys[trial_id]]:
                trial.report(probe[1], probe[0])

    def on_trial_complete(
        self,
        trial_id: str,
        result: Mapping[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        """Tell Optuna how a trial ended."""
        key, result = self._keys.pop(trial_id), result or {}
        if error:
            verdict = self._lost(key)
        elif "record" in result:
            record = Record.model_validate_json(result["record"])
            verdict = self._verdict(key, record.status, record.metrics, record.reason)
        elif probe := self._probe(result):
            reason = f"stopped early at update {probe[0]} with {probe[1]:.2f}"
            verdict = Verdict("stopped_early", reason=reason, probe=probe)
            self._listener.trial_given_up(key, reason)
        else:
            verdict = Verdict("")
        self._settle(key, verdict)

    def _lost(self, key: str) -> Verdict:
        """Its process died for the last time, perhaps after it had a result."""
        record = self._bookkeeper.records.get(key)
        if ended := self._bookkeeper.trials.spool(self._planned[key]).read_record():
            record = ended[0]  # Tune calls the bookkeeper after the searcher
        if record is None:
            return Verdict("failed", reason="its process kept dying")
        return self._verdict(key, record.status, record.metrics, record.reason)

    def _probe(self, result: Mapping[str, Any]) -> tuple[int, float] | None:
        """Step and value, if a report is of a probe."""
        step = result.get(PROBE_STEP_METRIC)
        name = probe_metric(self._plan.bound.metric.validation)
        return None if step is None else (step, result[name])

    def _verdict(
        self, key: str, end: str, metrics: Mapping[str, float], reason: str
    ) -> Verdict:
        if end not in DONE:
            return Verdict(end, reason=reason)
        values = [metrics[self._plan.bound.metric.validation_logged_as]]
        match self._plan.bound.space.cost:
            case "training_seconds":
                values.append(metrics[TRAINING_SECONDS_METRIC])
            case "flops":
                cost = estimate_cost(self._planned[key].trial)
                values.append(cost.flops if cost else float("nan"))
        return Verdict(end, tuple(values), reason)

    def _settle(self, key: str, verdict: Verdict, in_store: bool = False) -> None:
        """Tell all suggestions that are the same trial."""
        for i, trial in enumerate(self._asked.pop(key)):
            self._tell(trial, verdict, in_store=in_store or i > 0)
        if verdict.end:
            self._verdicts[key] = verdict

    def _tell(self, trial: Trial, verdict: Verdict, in_store: bool = False) -> None:
        tell = partial(self._study.tell, trial)
        if not verdict.end:
            tell(state=TrialState.FAIL)
            self._study.enqueue_trial(trial.params)
            return
        attributes = {END: verdict.end, REASON: verdict.reason, FOUND: in_store}
        for name, value in attributes.items():
            if value:
                trial.set_user_attr(name, value)
        if verdict.probe is not None:
            step, value = verdict.probe
            trial.report(value, step)
            tell(state=TrialState.PRUNED)
        elif verdict.values:
            tell(list(verdict.values))
        else:
            tell(state=TrialState.FAIL)

    def __getstate__(self) -> dict[str, Any]:
        """Keep nothing: Tune pickles searchers for a restore, never used here."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Leave an empty file: Optuna's store has it all."""
        Path(checkpoint_path).touch()
