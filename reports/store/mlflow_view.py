"""A study's page in MLflow: filtered, grouped by arm, with the metric that counts.

MLflow 3 keeps such a view as JSON in a tag of the experiment and opens it by the name
in ``viewStateShareKey``, as its own *Share* button does. Trials that another study
logged first lie in that one's experiment: the page of several experiments takes the
view of the first it shows, so each of them gets the tag.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlflow import MlflowClient

from ablations.metrics import manifest_metric
from ablations.mlflow_names import (
    TRAINING_SECONDS_METRIC,
    VIEW_TAG_PREFIX,
    request_tag,
    study_tag,
)
from ablations.record import Manifest
from d2v_core.config.parsing import nearest
from d2v_core.errors import ConfigError, Problem
from reports.store.foreign import StoreContentError
from reports.store.links import CLASSIC
from reports.store.manifests import PlannedStudy, all_manifests, no_study, place_name
from reports.store.runs import experiment_names
from reports.text import for_filter, quoted

MAX_SETTINGS = 12
"""Columns of varied settings; a tag holds 5,000 characters."""
SECTION = "d2v"


@dataclass(frozen=True)
class StudyView:
    """The page of one study in one modality and scale.

    Attributes:
        manifest: Its plan.
        experiment_ids: Where its trials lie, sorted; never empty.
    """

    manifest: Manifest
    experiment_ids: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the view: ``d2v-NAME-vision-laptop``, and which ``--set``."""
        settings = f"-{self.manifest.request_id[:8]}" * bool(self.manifest.assignments)
        return f"d2v-{place_name(self.manifest)}{settings}"

    @property
    def label(self) -> str:
        """For people: ``layer_averaging (vision, laptop)``."""
        manifest = self.manifest
        return f"{manifest.study['name']} ({manifest.modality}, {manifest.scale})"

    @property
    def filter(self) -> str:
        """MLflow's search for the trials, whoever logged them."""
        return study_filter(self.manifest)

    @property
    def fragment(self) -> str:
        """The page, after the ``#``; the view must have been published."""
        query = f"{CLASSIC}&viewStateShareKey={self.name}"
        if len(self.experiment_ids) == 1:
            return f"/experiments/{self.experiment_ids[0]}/runs?{query}"
        listed = quote(json.dumps(self.experiment_ids, separators=(",", ":")), safe="")
        return f"/compare-experiments/s?experiments={listed}&{query}"

    def publish(self, client: MlflowClient) -> None:
        """Write the view into the store."""
        text = json.dumps(view_state(self.manifest))
        for experiment_id in self.experiment_ids:
            client.set_experiment_tag(experiment_id, VIEW_TAG_PREFIX + self.name, text)


def study_views(
    client: MlflowClient,
    study: str | None = None,
    modality: str | None = None,
    scale: str | None = None,
    on_fault: Callable[[StoreContentError], None] = lambda fault: None,
) -> list[StudyView]:
    """The views of the store's studies, or of those asked for; nothing is written.

    Args:
        client: A client of the store.
        study: Only this one.
        modality: Only this one.
        scale: Only this one.
        on_fault: Called for every other study whose plan cannot be used.

    Raises:
        ConfigError: The store has none of those asked for; says which it has. Or the
            plan of the one asked for cannot be used.
    """
    faults: list[StoreContentError] = []
    planned = all_manifests(client, modality, scale, faults.append)
    for fault in faults:
        if fault.place[0] == study:
            raise fault
        on_fault(fault)
    wanted = [p for p in planned if study in (None, p.manifest.study["name"])]
    if not wanted and study is not None and planned:
        known = sorted({p.manifest.study["name"] for p in planned})
        requirement = f"must be a study of this tracking store ({', '.join(known)})"
        given = f"got {quoted(study)}{nearest(known, study)}"
        raise ConfigError([Problem("STUDY", f"{requirement}, {given}")])
    if not wanted and (study or modality or scale):
        raise no_study(study, modality, scale)
    experiments = list(experiment_names(client))
    return [_find_view(client, one, experiments) for one in wanted]


def study_filter(manifest: Manifest) -> str:
    """MLflow's search for the trials that the table of a study has now."""
    return f"{for_filter(request_tag(manifest.request_id))} LIKE '%'"


def _find_view(
    client: MlflowClient, planned: PlannedStudy, experiments: Iterable[str]
) -> StudyView:
    manifest = planned.manifest
    condition = study_filter(manifest)
    used = [i for i in experiments if client.search_runs([i], condition, max_results=1)]
    return StudyView(manifest, tuple(sorted(used)) or (planned.experiment_id,))


def view_state(manifest: Manifest) -> dict[str, Any]:
    """The state of MLflow's page of runs, in its own names and values (MLflow 3.17)."""
    metric, tag = manifest_metric(manifest), study_tag(manifest.study["name"])
    settings = dict.fromkeys(path for arm in manifest.arms for path in arm.settings)
    columns = [metric.logged_as, TRAINING_SECONDS_METRIC]
    return {
        "searchFilter": study_filter(manifest),
        "orderByKey": f"metrics.`{metric.logged_as}`",
        "orderByAsc": not metric.higher_is_better,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": [
            *(f"metrics.`{name}`" for name in columns),
            *(f"params.`{path}`" for path in list(settings)[:MAX_SETTINGS]),
        ],
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": tag}],
        },
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,
        "compareRunSections": [
            {
                "uuid": SECTION,
                "name": manifest.study["title"],
                "display": True,
                "isReordered": True,
            }
        ],
        "compareRunCharts": [
            {
                "type": "BAR",
                "uuid": f"{SECTION}-metric",
                "metricSectionId": SECTION,
                "metricKey": metric.logged_as,
                "runsCountToCompare": len(manifest.arms),
                "deleted": False,
                "isGenerated": False,
            }
        ],
    }
