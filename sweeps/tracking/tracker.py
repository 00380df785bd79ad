"""The only writer of the tracking store: study runs, trial runs, metrics, records.

One experiment per study; the study is a parent run, trials are its flat children; a
trial that several studies share is logged once and tagged with each of them. Runs on
the driver, so workers need no credentials.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunTag,
)

from ablations import mlflow_names as names
from ablations.mlflow_names import NOTE_TAG, request_tag, study_tag
from ablations.record import (
    DONE,
    OF_RESULTS,
    Manifest,
    ManifestCell,
    Record,
    record_tags,
)
from ablations.study.description import study_note
from sweeps.planned import PlannedCell, StudyPlan
from sweeps.tracking.database import create_database
from sweeps.tracking.labels import (
    param_text,
    place_tags,
    shown_params,
    source_tags,
    trial_kind,
    trial_note,
    with_outcome,
    with_try,
)
from sweeps.tracking.reader import StoreReader
from sweeps.tracking.state import quieten_mlflow
from sweeps.tracking.stores import Stores

METRICS_PER_BATCH = 1_000
PARAMS_PER_BATCH = 100
MAX_ARTIFACT_BYTES = 100_000_000
"""Encoders that are larger stay in the storage folder alone."""


class Tracker(StoreReader):
    """Writes studies and trials to MLflow through one client.

    Args:
        stores: Where. A new SQLite store is created here, before any trial starts.
        command: The command line, shown as the runs' source.
    """

    def __init__(self, stores: Stores, command: str) -> None:
        quieten_mlflow()
        if stores.database is not None:
            create_database(stores.database, stores.artifacts)
        super().__init__(stores)
        self.command = command

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
            self._log_params(run_id, shown_params(cell, plan))
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
            NOTE_TAG: trial_note(cell, plan)[: names.TAG_LENGTH],
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

    def finish_trial(
        self, run_id: str, record: Record, timestamp: int, outcome: str = ""
    ) -> None:
        """Write the record; the status tag comes last: half-written ones are redone.

        Args:
            run_id: The trial's run.
            record: Record of the trial.
            timestamp: Unix milliseconds.
            outcome: A few words that its description ends with.
        """
        self.log_progress(run_id, [(record.steps, timestamp, record.metrics)])
        self._log_dataset(run_id, record)
        self.client.log_text(
            run_id, record.model_dump_json(indent=1), names.RECORD_ARTIFACT
        )
        done, tags = record.status in DONE, record_tags(record)
        known = self.client.get_run(run_id).data.tags
        if note := with_outcome(known.get(NOTE_TAG, ""), outcome):
            tags[NOTE_TAG] = note
        if not done:
            tries = known.get(names.TRIES_TAG)
            tags[names.TRIES_TAG] = with_try(tries, record, timestamp)
        for name in OF_RESULTS & (known.keys() - tags.keys()):  # of an earlier try
            self.client.delete_tag(run_id, name)
        self.client.set_terminated(run_id, status="FINISHED" if done else "FAILED")
        self.client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])

    def log_encoder(self, run_id: str, folder: Path) -> None:
        """Put a small encoder beside the run that trained it."""
        size = sum(file.stat().st_size for file in folder.iterdir())
        if size <= MAX_ARTIFACT_BYTES:
            self.client.log_artifacts(run_id, str(folder), names.ENCODER_ARTIFACT)

    def log_picture(self, run_id: str, file: Path) -> None:
        """Put a picture of samples on the trial's page."""
        self.client.log_artifact(run_id, str(file), names.SAMPLES_ARTIFACT)

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
