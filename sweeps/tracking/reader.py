"""What the driver reads of the tracking store: trials by key, and what runs have left.

:class:`sweeps.tracking.tracker.Tracker` adds the writing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from ablations import mlflow_names as names
from ablations.mlflow_names import request_tag
from ablations.record import Manifest, is_done
from d2v_core.errors import ConfigError, Problem
from sweeps.planned import StudyPlan
from sweeps.tracking.state import refuses
from sweeps.tracking.stores import Stores

PAGE = 500
LATEST = 200
"""Finished trials that prices are taken from."""


@dataclass(frozen=True)
class StoredTrial:
    """What the store has of one trial.

    Attributes:
        run_id: Its run.
        tags: The run's tags.
        metrics: Last values.
        described: Whether its settings have been written.
    """

    run_id: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    described: bool

    @property
    def done(self) -> bool:
        """Whether it need not be trained again."""
        return is_done(self.tags)


class StoreReader:
    """Looks up studies and trials in MLflow through one client.

    Args:
        stores: Where; it is there already.
    """

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.client = MlflowClient(tracking_uri=stores.tracking_uri)  # opens it

    def works(self) -> bool:
        """Whether the store answers; a database may be away behind its server.

        A refusal (HTTP 401, say) is an answer: nobody waits for another one.
        """
        try:
            self.client.search_experiments(max_results=1)
        except Exception as error:  # MLflow and its database libraries raise many kinds
            return self.stores.database is not None or refuses(error)
        return True

    def is_deleted(self, run_id: str) -> bool:
        """Whether somebody deleted a run, or purged it after that."""
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")
        return bool(run.info.lifecycle_stage == "deleted")

    def deleted_trials(self, plan: StudyPlan) -> dict[str, str]:
        """Names of this request's trials that were deleted, by their keys."""
        condition = f"tags.`{request_tag(plan.request_id)}` != ''"
        runs = self._search(condition, view=ViewType.DELETED_ONLY)
        return {run.data.tags.get(names.KEY_TAG, ""): run.info.run_name for run in runs}

    def trials(self, keys: Iterable[str]) -> dict[str, StoredTrial]:
        """The trials among these keys that the store has, one search for each.

        A search takes about 10 ms whatever the size of the store; reading a store of
        10,000 trials as a whole takes half a minute (``benchmarks/report.py``).
        """
        experiments = self._experiments()
        stored = {key: self.find_trial(key, experiments) for key in keys}
        return {key: trial for key, trial in stored.items() if trial is not None}

    def find_trial(
        self, key: str, experiments: Sequence[str] | None = None
    ) -> StoredTrial | None:
        """The trial with this key; of several runs, a done one, else the newest."""
        runs = self._search(f"tags.`{names.KEY_TAG}` = '{key}'", experiments)
        trials = [_stored(run) for run in runs]
        return next((t for t in trials if t.done), trials[0] if trials else None)

    def lacks(self, key: str) -> bool:
        """Whether a trial still has to be trained."""
        known = self.find_trial(key)
        return known is None or not known.done

    def finished_like(self, modality: str, scale: str) -> list[StoredTrial]:
        """The latest done trials of a modality and scale, at most a page."""
        tags = {names.MODALITY_TAG: modality, names.SCALE_TAG: scale}
        conditions = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
        conditions.append(f"tags.`{names.STATUS_TAG}` = 'finished'")
        runs = self._search(" AND ".join(conditions), at_most=LATEST)
        return [_stored(run) for run in runs]

    def manifest(self, plan: StudyPlan) -> Manifest | None:
        """What the last run of the same request has left."""
        run = self._study_run(plan)
        return None if run is None else self._manifest_of(run)

    def _manifest_of(self, run: Run) -> Manifest | None:
        with tempfile.TemporaryDirectory(prefix="d2v-") as folder:
            try:
                file = self.client.download_artifacts(
                    run.info.run_id, names.MANIFEST_ARTIFACT, folder
                )
            except (MlflowException, OSError):  # that run died before it was written
                return None
            return Manifest.model_validate_json(Path(file).read_text())

    def manifests(self) -> list[Manifest]:
        """What the runs of all studies have left, the last that was opened first.

        Raises:
            ConfigError: One cannot be read.
        """
        condition = f"tags.`{names.ROLE_TAG}` = '{names.STUDY_ROLE}'"
        runs = self._search(condition)
        runs.sort(key=lambda run: run.data.tags.get(names.OPENED_TAG, ""), reverse=True)
        return [manifest for run in runs if (manifest := self._readable(run))]

    def _readable(self, run: Run) -> Manifest | None:
        try:
            return self._manifest_of(run)
        except ValueError as error:
            what = f"the plan of {run.info.run_name!r} there cannot be read"
            reason = (str(error).splitlines() or [""])[0]
            remedy = "delete that run in MLflow if nobody needs it, then again"
            problem = Problem(self.stores.shown_uri, f"{what} ({reason}); {remedy}")
            raise ConfigError([problem]) from None

    def searched_trainings(self) -> set[str]:
        """Training keys of the trials of all searches: each may be looked at again."""
        searches = self._search(f"tags.`{names.ROLE_TAG}` = '{names.SEARCH_ROLE}'")
        trainings: set[str] = set()
        for search in searches:
            condition = f"tags.`{names.PARENT_TAG}` = '{search.info.run_id}'"
            runs = self._search(condition)
            trainings |= {run.data.tags.get(names.TRAINING_TAG, "") for run in runs}
        return trainings

    def _study_run(self, plan: StudyPlan) -> Run | None:
        known = self.client.get_experiment_by_name(plan.name)
        if known is None:
            return None
        condition = f"tags.`{names.REQUEST_TAG}` = '{plan.request_id}'"
        return next(iter(self._search(condition, [known.experiment_id])), None)

    def last_step(self, run_id: str) -> int:
        """Last update whose metrics are in the store; 0 when none are."""
        history = self.client.get_metric_history(run_id, names.LOSS_METRIC)
        return max((metric.step for metric in history), default=0)

    def _experiments(self) -> list[str]:
        return [e.experiment_id for e in self.client.search_experiments()]

    def _search(
        self,
        condition: str,
        experiments: Sequence[str] | None = None,
        at_most: int | None = None,
        view: int = ViewType.ACTIVE_ONLY,
    ) -> list[Run]:
        """Runs, newest first; those that were not deleted, unless told otherwise."""
        if experiments is None:
            experiments = self._experiments()
        runs: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                list(experiments),
                filter_string=condition,
                run_view_type=view,
                max_results=at_most or PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            runs.extend(page)
            token = page.token
            if not token or at_most:
                return runs


def _stored(run: Run) -> StoredTrial:
    data = run.data
    return StoredTrial(run.info.run_id, data.tags, data.metrics, bool(data.params))
