"""The only writer of the tracking store: study runs, trial runs, metrics, records.

One experiment per study; the study is a parent run, trials are its flat children; a
trial that several studies share is logged once and tagged with each of them. Runs on
the driver, so workers need no credentials.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException

from ablations import mlflow_names as names
from ablations.mlflow_names import NOTE_TAG, request_tag, study_tag
from ablations.record import DONE, Manifest, ManifestCell, Record, is_done, record_tags
from ablations.study.description import study_note
from d2v_core.errors import ConfigError, Problem
from sweeps.planned import PlannedCell, StudyPlan
from sweeps.tracking.database import create_database
from sweeps.tracking.labels import (
    param_text,
    place_tags,
    shown_params,
    source_tags,
    trial_kind,
    with_try,
)
from sweeps.tracking.state import quieten_mlflow, refuses
from sweeps.tracking.stores import Stores

PAGE = 500
METRICS_PER_BATCH = 1_000
PARAMS_PER_BATCH = 100
MAX_ARTIFACT_BYTES = 100_000_000
"""Encoders that are larger stay in the storage folder alone."""
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


class Tracker:
    """Writes studies and trials to MLflow through one client.

    Args:
        stores: Where. A new SQLite store is created here, before any trial starts.
        command: The command line, shown as the runs' source.
    """

    def __init__(self, stores: Stores, command: str) -> None:
        self.stores, self.command = stores, command
        quieten_mlflow()
        if stores.database is not None:
            create_database(stores.database, stores.artifacts)
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

    def open_study(self, plan: StudyPlan, manifest: Manifest) -> str:
        """The parent run of a study request, new or continued; its id."""
        experiment, known = self._experiment(plan), self._study_run(plan)
        request = plan.expanded.request
        if known is not None:
            run_id: str = known.info.run_id
            self.client.update_run(run_id, status="RUNNING")
        else:
            tags = {
                **source_tags(self.command),
                **place_tags(plan, names.STUDY_ROLE),
                names.REQUEST_TAG: plan.request_id,
                NOTE_TAG: study_note(manifest.study),
            }
            title = " · ".join((plan.name, request.modality, request.scale))
            settings = f" · {', '.join(request.assignments)}" * bool(
                request.assignments
            )
            run = self.client.create_run(
                experiment, tags=tags, run_name=title + settings
            )
            run_id = run.info.run_id
        self._leave_out(plan, manifest.removed)
        opened = str(int(time.time() * 1_000))
        self.client.set_tag(run_id, names.OPENED_TAG, opened)
        self.client.log_text(
            run_id, manifest.model_dump_json(indent=1), names.MANIFEST_ARTIFACT
        )
        return run_id

    def close_study(self, run_id: str, status: str) -> None:
        """End a study's run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.client.set_terminated(run_id, status=status)

    def begin_trial(self, cell: PlannedCell, plan: StudyPlan, parent: str) -> str:
        """The run of a trial that is about to train; continues an unfinished one."""
        stored = self.find_trial(cell.key)
        if stored is not None:
            run_id = stored.run_id
            self.client.update_run(run_id, status="RUNNING")
            self.adopt(run_id, plan, cell.arm.label, stored.tags)
        else:
            run_id = self._create_trial(cell, plan, parent)
        if stored is None or not stored.described:
            self.client.log_text(
                run_id, cell.trial.model_dump_json(indent=1), names.CONFIG_ARTIFACT
            )
            self._log_params(run_id, shown_params(cell))
        return run_id

    def _create_trial(self, cell: PlannedCell, plan: StudyPlan, parent: str) -> str:
        tags = {
            **source_tags(self.command),
            **place_tags(plan, names.TRIAL_ROLE),
            names.PARENT_TAG: parent,
            names.KEY_TAG: cell.key,
            names.TRAINING_TAG: cell.training,
            names.SEED_TAG: str(cell.seed),
            names.ARM_TAG: cell.arm.label,
            names.KIND_TAG: trial_kind(cell.trial),
            **_belongs(plan, cell.arm.label),
        }
        run = self.client.create_run(
            self._experiment(plan),
            tags=tags,
            run_name=f"{cell.arm.label} · seed {cell.seed}",
        )
        run_id: str = run.info.run_id
        return run_id

    def adopt(
        self,
        run_id: str,
        plan: StudyPlan,
        arm: str,
        known: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Tag a trial of the store as part of one more study; ``known``: its tags."""
        for name, value in _belongs(plan, arm).items():
            if known.get(name) != value:
                self.client.set_tag(run_id, name, value)

    def _leave_out(self, plan: StudyPlan, cells: Iterable[ManifestCell]) -> None:
        """Former cells of a request stay in the store; its view shows them no more."""
        tag = request_tag(plan.request_id)
        for trial in self.trials(cell.key for cell in cells).values():
            if tag in trial.tags:
                self.client.delete_tag(trial.run_id, tag)

    def last_step(self, run_id: str) -> int:
        """Last update whose metrics are in the store; 0 when none are."""
        history = self.client.get_metric_history(run_id, names.LOSS_METRIC)
        return max((metric.step for metric in history), default=0)

    def log_progress(
        self, run_id: str, progress: Iterable[tuple[int, int, Mapping[str, float]]]
    ) -> None:
        """Metrics as ``(step, unix milliseconds, values)``."""
        metrics = [
            Metric(name, float(value), timestamp, step)
            for step, timestamp, values in progress
            for name, value in values.items()
        ]
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            batch = metrics[start : start + METRICS_PER_BATCH]
            self.client.log_batch(run_id, metrics=batch)

    def finish_trial(self, run_id: str, record: Record, timestamp: int) -> None:
        """Write the record; the status tag comes last: half-written ones are redone."""
        self.log_progress(run_id, [(record.steps, timestamp, record.metrics)])
        self._log_dataset(run_id, record)
        self.client.log_text(
            run_id, record.model_dump_json(indent=1), names.RECORD_ARTIFACT
        )
        done, tags = record.status in DONE, record_tags(record)
        if not done:
            known = self.client.get_run(run_id).data.tags.get(names.TRIES_TAG)
            tags[names.TRIES_TAG] = with_try(known, record, timestamp)
        self.client.set_terminated(run_id, status="FINISHED" if done else "FAILED")
        self.client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])

    def log_encoder(self, run_id: str, folder: Path) -> None:
        """Put a small encoder beside the run that trained it."""
        size = sum(file.stat().st_size for file in folder.iterdir())
        if size <= MAX_ARTIFACT_BYTES:
            self.client.log_artifacts(run_id, str(folder), names.ENCODER_ARTIFACT)

    def abandon_trial(self, run_id: str) -> None:
        """Mark a trial that was stopped before its end."""
        self.client.set_terminated(run_id, status="KILLED")

    def _experiment(self, plan: StudyPlan) -> str:
        known = self.client.get_experiment_by_name(plan.name)
        if known is not None:
            experiment: str = known.experiment_id
            return experiment
        location = None
        if self.stores.database is not None:
            location = (self.stores.artifacts / plan.name).as_uri()
        study = plan.expanded.study.model_dump(mode="json")
        tags = {
            NOTE_TAG: study_note(study),
            names.EXPERIMENT_KIND_TAG: "custom_model_development",
        }
        created: str = self.client.create_experiment(
            plan.name, artifact_location=location, tags=tags
        )
        return created

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

    def _log_params(self, run_id: str, settings: Mapping[str, Any]) -> None:
        params = [Param(key, param_text(value)) for key, value in settings.items()]
        for start in range(0, len(params), PARAMS_PER_BATCH):
            batch = params[start : start + PARAMS_PER_BATCH]
            self.client.log_batch(run_id, params=batch)

    def _log_dataset(self, run_id: str, record: Record) -> None:
        dataset = Dataset(
            name=record.data_name,
            digest=record.data_digest,
            source_type="d2v",
            source=json.dumps({"name": record.data_name}),
        )
        tag = InputTag(names.DATA_CONTEXT_TAG, "training and evaluation")
        self.client.log_inputs(run_id, [DatasetInput(dataset, tags=[tag])])


def _belongs(plan: StudyPlan, arm: str) -> dict[str, str]:
    """Tags of a trial of a study, and of the table that a request makes of it."""
    return {study_tag(plan.name): arm, request_tag(plan.request_id): arm}


def _stored(run: Run) -> StoredTrial:
    data = run.data
    return StoredTrial(run.info.run_id, data.tags, data.metrics, bool(data.params))
