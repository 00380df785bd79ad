"""What is left of a study on data without labels: RankMe, and no claim on accuracy."""

from __future__ import annotations

from ablations.metrics import HIDDEN_WORDS, RANKME
from ablations.mlflow_names import evaluation_metric
from ablations.study.claims import Collapses
from ablations.study.fields import OwnMetric
from ablations.study.schema import Study
from d2v_core.config import TrialConfig
from d2v_core.config.base import UnlabelledData

TITLE = "RankMe (effective rank; no labels)"
LABELLED_GROUP = "eval/"
"""What the names of scores begin with; all but two need labels."""


def served_by(study: Study, modality: str, base: TrialConfig) -> tuple[Study, str]:
    """The study as a trial's data can serve it, and a line that says what changed.

    Without labels for a probe the metric becomes RankMe, and of the claims only those
    on collapse are judged, for the others are on a score. Without labels to train on
    the supervised arm is left out. A study whose metric needs no labels keeps it, and
    its claims.

    Args:
        study: As one modality has it.
        modality: Which.
        base: The configuration without arms.

    Returns:
        The study, and the line; empty: nothing changed.
    """
    changes = list[str]()
    data = getattr(base, "data", None)
    if isinstance(data, UnlabelledData) and "supervised" in study.references(modality):
        study = _without_supervised(study, modality)
        changes.append("the supervised arm is left out")
    logged = study.metric_for(modality).logged_as
    if not base.has_labels and _needs_labels(logged):
        own = OwnMetric(
            name=evaluation_metric(RANKME.name), title=TITLE, higher_is_better=True
        )
        metric: dict[str, str | OwnMetric] = {modality: own}
        # A collapse is told by targets and RankMe, which need no labels.
        claims = tuple(
            claim
            for claim in study.claims
            if isinstance(claim.test, Collapses) and claim.test.than is None
        )
        study = study.model_copy(update={"metric": metric, "claims": claims})
        changes.insert(0, "the table shows RankMe and judges no claim on a score")
    if not changes:
        return study, ""
    what, remedy = f"data.source {getattr(data, 'source', '?')} has no labels", ""
    if not base.has_labels and not hasattr(base.evaluation, "data"):
        what = "there are no evaluation.tasks"
    elif not base.has_labels:
        remedy = "; evaluation.data names a set to probe on"
    return study, f"{what}: {', '.join(changes)}{remedy}"


def _needs_labels(logged: str) -> bool:
    need_none = [evaluation_metric(metric.name) for metric in (RANKME, HIDDEN_WORDS)]
    return logged.startswith(LABELLED_GROUP) and logged not in need_none


def _without_supervised(study: Study, modality: str) -> Study:
    references = tuple(r for r in study.references(modality) if r != "supervised")
    published = {
        name: numbers.model_copy(
            update={
                "values": {k: v for k, v in numbers.values.items() if k != "supervised"}
            }
        )
        for name, numbers in study.published.items()
    }
    claims = tuple(
        claim
        for claim in study.claims
        if "supervised" not in [arm for _, arm in claim.arms_named()]
    )
    own = {"reference_arms": references, "published": published, "claims": claims}
    return study.model_copy(update=own)
