from __future__ import annotations

import math

import pytest

from ablations.mlflow_names import MANIFEST_ARTIFACT, REQUEST_TAG
from d2v_core.errors import ConfigError
from reports.statistics.summary import study_result
from reports.store import runs as store_module
from reports.store.frames import trial_frame
from reports.store.manifests import find_manifest
from reports.store.runs import open_store
from reports.tables.formats import tidy_trials
from tests.reports.stores import ACCURACY, Store, make_manifest


def test_manifest_comes_back_as_written_and_the_latest_wins(store: Store):
    old = make_manifest("twice", seeds=1)
    new = make_manifest("twice", seeds=2)
    store.study(old)
    run_id = store.study(new)
    found = find_manifest(store.client, "twice", "vision", "laptop")
    assert (found.manifest, found.run_id) == (new, run_id)
    assert found.experiment_id == store.experiment("twice")


def test_a_request_can_be_named_where_several_differ(store: Store):
    first = make_manifest("requests", seeds=1)
    second = make_manifest("requests", seeds=2)
    run_id = store.study(first, **{REQUEST_TAG: "first"})
    store.study(second, **{REQUEST_TAG: "second"})
    place = ("requests", "vision", "laptop")
    found = find_manifest(store.client, *place, "first")
    assert (found.manifest, found.run_id) == (first, run_id)
    assert find_manifest(store.client, *place).manifest == second


def test_a_parent_without_its_manifest_is_passed_over(store: Store):
    manifest = make_manifest("interrupted", seeds=1)
    run_id = store.study(manifest)
    store.clock += 1_000
    store.client.create_run(
        store.experiment("interrupted"),
        start_time=store.clock,
        tags={
            "d2v.role": "study",
            "d2v.modality": "vision",
            "d2v.scale": "laptop",
        },
    )
    found = find_manifest(store.client, "interrupted", "vision", "laptop")
    assert (found.manifest, found.run_id) == (manifest, run_id)


def test_every_cell_has_a_row_whatever_became_of_it(store: Store):
    manifest = make_manifest("statuses", ks=(1, 2, 3), references=(), seeds=2)
    store.study(manifest)
    run_id = store.trial(manifest, "K=1", 0, 61.5)
    store.trial(manifest, "K=2", 0, 12.0, status="collapsed", reason="std 0.001")
    store.trial(manifest, "K=3", 0, None, status="failed", reason="loss is nan")
    store.trial(manifest, "K=1", 1, None, status=None, run_status="RUNNING")
    store.trial(manifest, "K=2", 1, None, status=None, run_status="KILLED")
    frame = trial_frame(store.client, manifest)
    assert [
        tuple(row) for row in frame[["arm", "seed", "status", "reason"]].values
    ] == [
        ("K=1", 0, "finished", ""),
        ("K=2", 0, "collapsed", "std 0.001"),
        ("K=3", 0, "failed", "loss is nan"),
        (
            "K=1",
            1,
            "unfinished",
            "started, no result yet (running or interrupted)",
        ),
        ("K=2", 1, "unfinished", "ended as KILLED without a record"),
        ("K=3", 1, "missing", "not run yet"),
    ]
    assert frame[ACCURACY].iloc[0] == 61.5
    assert math.isnan(frame[ACCURACY].iloc[5])
    assert (frame["run_id"].iloc[0], frame["run_id"].iloc[5]) == (run_id, "")
    assert "train/loss" not in frame


def test_a_trial_logged_by_another_study_is_found(store: Store):
    manifest = make_manifest("borrower", ks=(1,), references=(), seeds=1)
    store.study(manifest)
    store.trial(manifest, "K=1", 0, 55.0, experiment="lender")
    frame = trial_frame(store.client, manifest)
    assert frame[ACCURACY].tolist() == [55.0]
    assert frame["experiment_id"].tolist() == [store.experiment("lender")]


def test_of_runs_with_one_key_a_done_one_then_the_latest_counts(store: Store):
    manifest = make_manifest("again", ks=(1, 2), references=(), seeds=1)
    store.study(manifest)
    store.trial(manifest, "K=1", 0, None, status="failed", reason="first try")
    store.trial(manifest, "K=1", 0, 60.0)
    store.trial(manifest, "K=1", 0, 61.0)
    store.trial(manifest, "K=1", 0, None, status="failed", reason="after")
    store.trial(manifest, "K=2", 0, None, status="failed", reason="old")
    store.trial(manifest, "K=2", 0, None, status="failed", reason="new")
    frame = trial_frame(store.client, manifest)
    assert frame[ACCURACY].tolist()[:1] == [61.0]
    assert frame["num_tries"].tolist() == [4, 2]
    assert [one.reason for one in frame["failed_tries"][1]] == ["old", "new"]
    assert frame["reason"].tolist() == ["", "new"]


@pytest.mark.parametrize(
    ("status", "num_tries"), [("finished", 3), ("failed", 2), (None, 3)]
)
def test_every_failed_try_of_a_run_counts(
    store: Store, status: str | None, num_tries: int
):
    """A trial that is tried again goes on in its run; its status is the last one."""
    name = f"tries_{status}".lower()
    manifest = make_manifest(name, ks=(1,), references=(), seeds=1)
    failed = [
        {"status": "diverged", "reason": "nan", "seconds": 1.5, "ended": 7},
        {"status": "failed", "reason": "no disk"},
    ]
    store.trial(manifest, "K=1", 0, None, status=status, failed=failed)
    [row] = trial_frame(store.client, manifest).to_dict("records")
    assert row["num_tries"] == num_tries
    assert [(one.status, one.seconds) for one in row["failed_tries"]] == [
        ("diverged", 1.5),
        ("failed", None),
    ]


def test_a_curve_is_in_the_frame_only_where_it_is_the_metric(store: Store):
    own = {"name": "target/std", "title": "spread", "higher_is_better": True}
    manifest = make_manifest(
        "spread", ks=(1,), references=(), seeds=1, metric={"vision": own}
    )
    curves = {"target/std": [0.5, 0.75], "prediction/std": [0.1]}
    store.trial(manifest, "K=1", 0, 50.0, curves=curves)
    frame = trial_frame(store.client, manifest)
    assert frame["target/std"].tolist() == [0.75]
    assert not {"prediction/std", "train/loss"} & set(frame.columns)
    arm = study_result(frame, manifest).arms[0]
    assert arm.values == {0: 0.75}
    assert tidy_trials(frame)["metric"].tolist() == [
        *("cost/training_seconds", ACCURACY, "target/std"),
    ]


def test_searches_go_on_after_a_full_page(store: Store, monkeypatch):
    monkeypatch.setattr(store_module, "PAGE_SIZE", 2)
    manifest = make_manifest("pages", ks=(1, 2, 3), references=(), seeds=2)
    store.study(manifest)
    for cell in manifest.cells:
        store.trial(manifest, cell.arm, cell.seed, 50.0)
    find_manifest(store.client, "pages", "vision", "laptop")
    assert (trial_frame(store.client, manifest)["status"] == "finished").all()


def test_unknown_study_says_what_there_is(store: Store):
    store.study(make_manifest("known_study", seeds=1))
    with pytest.raises(ConfigError) as error:
        find_manifest(store.client, "known_studi", "vision", "laptop")
    text = str(error.value)
    assert text.startswith(
        "this tracking store has no run of 'known_studi' (vision, lap"
    )
    assert "known_study (vision, laptop)" in text
    assert text.endswith("; did you mean 'known_study'?")


def test_unknown_scale_says_what_there_is(store: Store):
    store.study(make_manifest("one_scale", seeds=1))
    with pytest.raises(ConfigError, match=r"no run of 'one_scale' \(vision, gpu\); it"):
        find_manifest(store.client, "one_scale", "vision", "gpu")


def test_a_lost_manifest_is_named(store: Store):
    store.client.create_run(
        store.experiment("lost"),
        tags={
            "d2v.role": "study",
            "d2v.modality": "vision",
            "d2v.scale": "laptop",
        },
    )
    lacking = f"run .*, {MANIFEST_ARTIFACT}: the run has none; run the study again"
    with pytest.raises(ConfigError, match=rf"study 'lost' \('vision'.*{lacking}"):
        find_manifest(store.client, "lost", "vision", "laptop")


def test_a_missing_store_is_not_created(tmp_path):
    uri = f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(
        ConfigError, match="--tracking-uri: must be an existing tracking"
    ):
        open_store(uri)
    assert list(tmp_path.iterdir()) == []
