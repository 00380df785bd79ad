"""Every name in the tracking store that two rooms agree on: tags, artifacts, metrics.

``sweeps`` writes them, ``reports`` reads them back; nobody writes such a string
elsewhere (``tests/test_architecture.py``). A tag of ours begins with ``d2v.``, one that
MLflow itself understands with ``mlflow.``. An experiment is named after its study.
"""

from __future__ import annotations

CONFIG_ARTIFACT = "config.json"
RECORD_ARTIFACT = "record.json"
MANIFEST_ARTIFACT = "study.json"
ENCODER_ARTIFACT = "encoder"
"""Folder of a kept encoder, on the run that trained it; see :mod:`d2v_core.trained`."""
SAMPLES_ARTIFACT = "samples"
"""Folder of pictures, on the run that trained: what is hidden and what is recovered."""
DATABASE_FILE = "mlflow.db"
"""The default store, in the storage folder."""

ROLE_TAG = "d2v.role"
"""One of the three roles: what a run is."""
STUDY_ROLE = "study"
"""The parent run of a study's trials."""
SEARCH_ROLE = "search"
"""The parent run of a search's trials: reports of studies leave it out."""
TRIAL_ROLE = "trial"
"""A trial, below a parent run."""

KEY_TAG = "d2v.key"
TRAINING_TAG = "d2v.training"
"""On a trial: key of its training, under which its encoder is kept."""
STATUS_TAG = "d2v.status"
REASON_TAG = "d2v.reason"
NOTES_TAG = "d2v.notes"
DRAWS_TAG = "d2v.draws"
"""On a trial: scores at each label draw by metric, as in its record, as JSON."""
TRIES_TAG = "d2v.failed_tries"
"""On a trial: its tries without a result, as a JSON list of
:class:`ablations.record.FailedTry`, oldest first; the last one too, if there is no
result yet."""
SEED_TAG = "d2v.seed"
ARM_TAG = "d2v.arm"
MODALITY_TAG = "d2v.modality"
SCALE_TAG = "d2v.scale"
KIND_TAG = "d2v.kind"
"""On a trial: what trials of equal cost have in common."""
DIRTY_TAG = "d2v.git.dirty"
"""Whether files differed from the commit: ``true`` or ``false``."""
STUDY_TAG_PREFIX = "d2v.study."
"""``d2v.study.<name>`` = arm, on every trial a study uses; see :func:`study_tag`."""
OPENED_TAG = "d2v.opened"
"""On a parent run: unix milliseconds of the last ``d2v run`` of its request."""
REQUEST_TAG = "d2v.request"
"""On a parent run: which request (study, modality, scale, settings) it answers; see
:func:`ablations.record.request_id`. With a dot and that id: on the trials of its table
(see :func:`request_tag`)."""
TAG_LENGTH = 5_000
"""Characters of a tag that every MLflow backend takes."""

PARENT_TAG = "mlflow.parentRunId"
USER_TAG = "mlflow.user"
SOURCE_TYPE_TAG = "mlflow.source.type"
COMMAND_TAG = "mlflow.source.name"
COMMIT_TAG = "mlflow.source.git.commit"
NOTE_TAG = "mlflow.note.content"
"""The description of a run or experiment, in Markdown."""
DATA_CONTEXT_TAG = "mlflow.data.context"
"""On a data set of a run: what it was used for."""
EXPERIMENT_KIND_TAG = "mlflow.experimentKind"
VIEW_TAG_PREFIX = "mlflow.sharedViewState."
"""On an experiment, with the name of a view: how its page of runs is shown."""

LOSS_METRIC = "train/loss"
TRAINING_SECONDS_METRIC = "cost/training_seconds"
EVALUATION_SECONDS_METRIC = "cost/evaluation_seconds"
LOST_METRIC = "cost/lost_seconds"
"""Training time since the last checkpoint, of a record without a result."""
FLOPS_METRIC = "cost/flops"
"""Operations of a trial's updates, counted beforehand; evaluation comes on top."""
PROBE_STEP_METRIC = "probe/step"
PROBE_SHARE_METRIC = "probe/share"
"""Share of the training that was done at a probe."""


def study_tag(study: str) -> str:
    """The tag that says which arm of a study a trial is."""
    return f"{STUDY_TAG_PREFIX}{study}"


def request_tag(request: str) -> str:
    """The tag, its value the arm, on the trials that a request's table has now."""
    return f"{REQUEST_TAG}.{request}"


def evaluation_metric(name: str) -> str:
    """The name under which a number of the evaluation protocol is logged."""
    return f"eval/{name}"


def probe_metric(name: str) -> str:
    """The name under which the same number is logged before the end of a training."""
    return f"probe/{name}"
