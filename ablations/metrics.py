"""The metrics a study can ask for, by modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ablations.mlflow_names import evaluation_metric

if TYPE_CHECKING:
    from ablations.record import Manifest

LOGGED_GROUPS = (
    *("eval", "cost", "train", "target", "prediction"),
    *("teacher", "student", "optimizer"),
)
"""What the names of logged numbers begin with. ``eval/`` and ``cost/`` are logged at
the end of a trial, the others are curves, of which the last value is taken."""


@dataclass(frozen=True)
class Metric:
    """One number of the evaluation protocol.

    Attributes:
        name: As in a study, ``linear_accuracy``; of a study's own metric, with the
            group it is logged in, ``cost/training_seconds``.
        title: For captions and axes, with the unit.
        higher_is_better: Direction.
        needs: Setting that must not be null for there to be such a number; empty: none.
        validation: Name of the same number on the validation split; empty: there is
            none.
    """

    name: str
    title: str
    higher_is_better: bool
    needs: str = ""
    validation: str = ""

    @property
    def logged_as(self) -> str:
        """Name in records and in the tracking store."""
        return self.name if "/" in self.name else evaluation_metric(self.name)

    @property
    def validation_logged_as(self) -> str:
        """Name of the number on the validation split there; there must be one."""
        assert self.validation, self.name
        return evaluation_metric(self.validation)


LINEAR = Metric(
    "linear_accuracy",
    "linear probe accuracy (%)",
    True,
    validation="linear_validation_accuracy",
)
LINEAR_ALL = Metric(
    "linear_accuracy_all_labels",
    "linear probe accuracy, all labels (%)",
    True,
    needs="evaluation.num_labels",
)
MEAN_LINEAR = replace(LINEAR, validation="")
"""The mean of several tasks, each with a validation split of its own."""
KNN = Metric("knn_accuracy", "k-NN accuracy (%)", True)
KNN_ALL = Metric(
    "knn_accuracy_all_labels",
    "k-NN accuracy, all labels (%)",
    True,
    needs="evaluation.num_labels",
)
FINE_TUNED = Metric(
    "fine_tuned_accuracy",
    "fine-tuned accuracy (%)",
    True,
    needs="evaluation.fine_tuning",
    validation="fine_tuned_validation_accuracy",
)

WORD_ERRORS = Metric(
    "word_error_rate",
    "word error rate (%)",
    False,
    validation="word_validation_error_rate",
)
CHARACTER_ERRORS = Metric("character_error_rate", "character error rate (%)", False)
PHONE_FRAMES = Metric(
    "phone_accuracy",
    "phone of a frame, linear probe accuracy (%)",
    True,
    validation="phone_validation_accuracy",
)
WORD_FRAMES = Metric(
    "word_frame_accuracy",
    "word of a frame, linear probe accuracy (%)",
    True,
    validation="word_frame_validation_accuracy",
)
GLUE = Metric("glue_score", "GLUE score (%)", True, validation="glue_validation_score")


GLUE_ALL = Metric(
    "glue_score_all_labels",
    "GLUE score, all labels (%)",
    True,
    needs="evaluation.num_labels",
)
HIDDEN_WORDS = Metric(
    "masked_word_accuracy",
    "masked word, linear probe accuracy (%)",
    True,
    needs="evaluation.words",
    validation="masked_word_validation_accuracy",
)
HIDDEN_TAGS = Metric(
    "masked_tag_accuracy",
    "tag of a masked word, linear probe accuracy (%)",
    True,
    needs="evaluation.words",
    validation="masked_tag_validation_accuracy",
)
TAGS = Metric(
    "tag_accuracy",
    "tag of a word, linear probe accuracy (%)",
    True,
    needs="evaluation.words",
    validation="tag_validation_accuracy",
)
RANKME = Metric("rankme", "RankMe (effective rank)", True)
"""Needs no labels."""


ACCURACY = Metric("accuracy", "accuracy (%)", True)
"""That of ``evaluation.protocol``, for tables whose arms differ in it."""


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, dict[str, Metric]] = {
    "vision": _by_name(
        *(LINEAR, KNN, FINE_TUNED, LINEAR_ALL, KNN_ALL, RANKME, ACCURACY)
    ),
    "speech": _by_name(
        *(WORD_ERRORS, CHARACTER_ERRORS, PHONE_FRAMES, WORD_FRAMES),
        *(LINEAR, KNN, LINEAR_ALL, KNN_ALL, RANKME),
    ),
    "text": _by_name(
        *(GLUE, MEAN_LINEAR, GLUE_ALL, LINEAR_ALL),
        *(HIDDEN_WORDS, HIDDEN_TAGS, TAGS, RANKME),
    ),
}


def metric_of(modality: str, chosen: str | Mapping[str, Any]) -> Metric:
    """The metric a study chose: one of the protocol's by name, or its own."""
    return METRICS[modality][chosen] if isinstance(chosen, str) else Metric(**chosen)


def manifest_metric(manifest: Manifest) -> Metric:
    """The metric that counts in a planned study."""
    chosen = manifest.study.get("metric", {}).get(manifest.modality, manifest.metric)
    return metric_of(manifest.modality, chosen)
