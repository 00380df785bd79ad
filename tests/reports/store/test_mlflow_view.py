"""The page of a study in MLflow; tests/sweeps/tracking has MLflow show it."""

from __future__ import annotations

import json

import pytest

from ablations.mlflow_names import VIEW_TAG_PREFIX, request_tag, study_tag
from ablations.record import Manifest
from d2v_core.errors import ConfigError
from reports.store.mlflow_view import StudyView, study_views, view_state
from tests.reports.stores import Store, make_manifest

KEY = "workflowType=machine_learning&viewStateShareKey=d2v-viewed-vision-laptop"


@pytest.fixture(scope="module")
def viewed(store: Store) -> Manifest:
    """Its trials lie in two experiments; another request's lies in a third."""
    manifest = make_manifest("viewed", ks=(1, 2), references=(), seeds=1)
    store.study(manifest)
    ours, other = request_tag(manifest.request_id), request_tag("another")
    places = {"viewed": ours, "viewed_too": ours, "viewed_elsewhere": other}
    for experiment, request in places.items():
        tags = {study_tag("viewed"): "K=1", request: "K=1"}
        store.client.create_run(store.experiment(experiment), tags=tags)
    return manifest


def test_the_page_is_one_experiment_or_several(viewed: Manifest):
    assert StudyView(viewed, ("7",)).fragment == f"/experiments/7/runs?{KEY}"
    several = StudyView(viewed, ("3", "7")).fragment
    listed = "%5B%223%22%2C%227%22%5D"
    assert several == f"/compare-experiments/s?experiments={listed}&{KEY}"


def test_what_was_set_by_hand_has_a_view_of_its_own(viewed: Manifest):
    other = viewed.model_copy(update={"assignments": ["target.top_k=3"]})
    assert StudyView(other, ("7",)).name != StudyView(viewed, ("7",)).name
    assert StudyView(other, ("7",)).filter != StudyView(viewed, ("7",)).filter


def test_the_view_lies_where_the_trials_are(store: Store, viewed: Manifest):
    (view,) = study_views(store.client, "viewed", "vision", "laptop")
    ids = {store.experiments["viewed"], store.experiments["viewed_too"]}
    assert set(view.experiment_ids) == ids
    view.publish(store.client)
    for experiment in ids:
        tags = store.client.get_experiment(experiment).tags
        assert json.loads(tags[VIEW_TAG_PREFIX + view.name]) == view_state(viewed)


def test_the_view_groups_by_arm_and_sorts_by_the_metric_best_first(viewed: Manifest):
    state = view_state(viewed)
    assert state["groupBy"]["groupByKeys"] == [
        {"mode": "tag", "groupByData": "d2v.study.viewed"}
    ]
    assert state["orderByKey"] == "metrics.`eval/linear_accuracy`"
    assert state["orderByAsc"] is False
    assert "params.`target.top_k`" in state["selectedColumns"]
    errors = {"name": "eval/e", "title": "e", "higher_is_better": False}
    study = {**viewed.study, "metric": {"vision": errors}}
    assert view_state(viewed.model_copy(update={"study": study}))["orderByAsc"] is True


def test_a_study_of_many_settings_still_fits_into_a_tag(viewed: Manifest):
    long = {f"{'section.' * 12}setting_{i}": i for i in range(100)}
    arms = [arm.model_copy(update={"settings": long}) for arm in viewed.arms]
    text = json.dumps(view_state(viewed.model_copy(update={"arms": arms})))
    assert len(text) < 5_000


def test_what_the_store_has_not_is_refused(store: Store, viewed: Manifest):
    with pytest.raises(ConfigError, match="got 'viewd'; did you mean 'viewed'"):
        study_views(store.client, "viewd")
    with pytest.raises(ConfigError, match=r"no study run \(viewed, speech\)"):
        study_views(store.client, "viewed", "speech")
