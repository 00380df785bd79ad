from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from ablations.record import Manifest, ManifestCell
from reports.statistics.summary import study_result
from reports.store.frames import trial_frames
from reports.tables.checklist import checklist, checklist_markdown
from reports.tables.formats import trials_csv, trials_parquet
from reports.tables.ledger import build_ledger, facts, ledger_json, ledger_markdown
from tests.reports.stores import Store, make_manifest

NOTHING = pd.DataFrame()


@pytest.fixture(scope="module")
def studied(store: Store):
    """Six cells: finished at the third try, collapsed, diverged, finished, missing."""
    manifest = make_manifest("ledger", ks=(1, 2), references=("untrained",), seeds=2)
    store.study(manifest)
    here = {"torch": "2.11.0", "python": "3.11.7", "processor": "A"}
    failed = [
        {"status": "failed", "reason": "no disk", "seconds": 4.0, "ended": 1},
        {"status": "out_of_memory", "reason": "no memory"},
    ]
    store.trial(manifest, "K=1", 0, 60.0, environment=here, failed=failed)
    store.trial(manifest, "K=2", 0, 20.0, status="collapsed", environment=here)
    nan = {"status": "diverged", "reason": "nan"}
    store.trial(manifest, "K=1", 1, None, **nan, failed=[{**nan, "seconds": 2.0}])
    store.trial(manifest, "K=2", 1, 61.0, environment={**here, "processor": "B"})
    store.trial(manifest, "untrained", 0, 40.0)
    return manifest, trial_frames(store.client, manifest)[0]


@pytest.fixture(scope="module")
def ledger(store: Store, studied):
    manifest, frame = studied
    return build_ledger(store.client, frame, NOTHING, manifest)


def test_counts_are_exact_failed_tries_included(ledger):
    assert ledger["trials"] == {
        "planned": 6,
        "finished": 3,
        "collapsed": 1,
        "diverged": 1,
        "out_of_memory": 0,
        "timed_out": 0,
        "failed": 0,
        "unfinished": 0,
        "missing": 1,
    }
    assert ledger["tries"] == 7
    assert ledger["failed_tries"] == {"diverged": 1, "failed": 1, "out_of_memory": 1}
    first = ledger["by_trial"][0]
    assert (first["arm"], first["status"], first["num_tries"]) == ("K=1", "finished", 3)
    tries = [(one["reason"], one["seconds"]) for one in first["failed_tries"]]
    assert tries == [("no disk", 4.0), ("no memory", None)]


def test_costs_environments_code_and_data_are_as_logged(ledger):
    seconds = ledger["cost"]["training_seconds"]
    assert (seconds["total"], seconds["trials"], seconds["mean"]) == (56.0, 4, 12.5)
    assert (seconds["lost"], seconds["tries_not_timed"]) == (6.0, 1)
    assert ledger["cost"]["flops"] is None
    processors = {e["processor"]: e["trials"] for e in ledger["environments"]}
    assert processors == {"A": 2, "B": 1}
    assert ledger["records_read"] == 3
    assert ledger["code"] == [
        {"commit": "c0ffee", "uncommitted_changes": False, "trials": 5}
    ]
    assert ledger["seeds"] == [0, 1]
    assert json.loads(ledger_json(ledger)) == ledger


def test_flops_count_where_they_were_logged(store: Store, studied):
    manifest, frame = studied
    counted = frame.assign(**{"cost/flops": 2e12})
    ledger = build_ledger(store.client, counted, NOTHING, manifest)
    assert ledger["cost"]["flops"]["total"] == 1.2e13
    assert "1.2e+13 FLOPs over 6 trials" in ledger_markdown(ledger)


def test_the_ledger_reads_as_text(ledger):
    text = ledger_markdown(ledger)
    assert (
        "6 planned: 3 finished, 1 collapsed, 1 diverged, 1 missing; 7 tries, 3 without "
        "a result: 1 diverged, 1 failed, 1 out of memory"
    ) in text
    assert (
        "56 s over 4 trials, 6 s of it in tries without a result (1 more not timed); "
        "per trial mean 12.5"
    ) in text
    assert "**Removed**" not in text
    assert "**FLOPs of training**: not recorded" in text
    assert "203,456 parameters" in text
    assert "## Environment of 2 of the records read" in text


def test_the_checklist_ticks_what_the_store_can_answer(studied, ledger):
    manifest, frame = studied
    result = study_result(frame, manifest)
    items = {item.question: item for item in checklist(ledger, result, manifest, ())}
    met = {question for question, item in items.items() if item.is_met}
    assert "How many trials were run, failures included?" not in met
    assert "Which tests, corrected for what?" not in met
    assert "Which claims are tested, by rules stated where?" not in met
    assert "Which data and splits?" not in met  # the trials logged none
    assert {"Which code?", "Which environment?", "How many parameters?"} <= met
    text = checklist_markdown(list(items.values()), "ledger")
    assert "- [x] **How many parameters?** 203,456 in the encoder." in text
    assert "7 tries, 3 without a result" in text
    assert "target.top\\_k: 1, 2" in text
    assert "Every arm is in the table, none was selected." in text
    assert "a p below 0.05 needs 6 pairs of seeds" in text


def test_what_failed_tries_cost_counts_even_without_a_result(store: Store):
    manifest = make_manifest("never", ks=(1,), references=(), seeds=1)
    lost = {"status": "failed", "reason": "", "seconds": 3.0}
    store.trial(manifest, "K=1", 0, None, status="failed", failed=[lost, lost])
    ledger = build_ledger(store.client, *trial_frames(store.client, manifest), manifest)
    assert ("Trials", "1 planned: 1 failed; 2 tries, 2 without a result: 2 failed") in (
        facts(ledger)
    )
    cost = "6 s over 0 trials, 6 s of it in tries without a result"
    assert ("Training time", cost) in facts(ledger)


def test_removed_arms_are_listed_and_leave_the_selection_unticked(store: Store):
    planned = make_manifest("removed", ks=(1,), references=(), seeds=2)
    gone = [("K=9", 0), ("K=9", 1), ("K=1", 2), ("K=8", 0)]
    cells = [ManifestCell(arm=a, seed=s, key=f"removed-{a}-{s}") for a, s in gone]
    manifest = planned.model_copy(update={"removed": cells})
    for arm, seed in [("K=1", 0), ("K=1", 1), ("K=9", 0), ("K=1", 2)]:
        store.trial(manifest, arm, seed, 50.0)
    store.trial(manifest, "K=9", 1, None, status="failed", reason="no memory")
    frame, removed = trial_frames(store.client, manifest)
    assert frame["arm"].tolist() == ["K=1", "K=1"]
    ledger = build_ledger(store.client, frame, removed, manifest)
    assert [(t["arm"], t["seed"], t["status"]) for t in ledger["removed"]] == [
        ("K=9", 0, "finished"),
        ("K=9", 1, "failed"),
        ("K=1", 2, "finished"),
    ]
    text = (
        "3 trials of former arms or seeds in the store, not in this table: K=9: "
        "1 finished, 1 failed; K=1: 1 finished"
    )
    assert text in ledger_markdown(ledger)
    first = checklist(ledger, study_result(frame, manifest), manifest, ())[0]
    assert not first.is_met
    assert text in first.answer
    assert "Every arm is in the table" not in first.answer


def test_a_store_of_an_older_schema_is_reported_and_its_trials_are_no_former_arms(
    store: Store,
):
    """First its own report, then that of the same study with today's keys."""
    planned = make_manifest("older", ks=(1, 2), references=(), seeds=2)
    written = planned.model_dump(mode="json")
    for cell in written["cells"]:
        del cell["schema_version"]  # as studies were written then
    old = Manifest.model_validate(written)
    for cell in old.cells:
        store.trial(old, cell.arm, cell.seed, 50.0)
    frame, removed = trial_frames(store.client, old)
    ledger = build_ledger(store.client, frame, removed, old)
    assert set(frame["status"]) == {"finished"}
    assert ledger["outdated"] == []
    assert checklist(ledger, study_result(frame, old), old, ())[0].is_met

    fresh = [
        ManifestCell(arm=c.arm, seed=c.seed, key=f"new-{c.key}", schema_version=3)
        for c in old.cells
    ]
    new = old.model_copy(update={"cells": fresh, "removed": old.cells})
    frame, removed = trial_frames(store.client, new)
    assert set(frame["status"]) == {"missing"}
    assert removed.empty
    ledger = build_ledger(store.client, frame, removed, new)
    text = "4 trials of an earlier schema version, not used: a setting or metric means"
    assert text in ledger_markdown(ledger)
    assert checklist(ledger, study_result(frame, new), new, ())[0].is_met


def test_uncommitted_changes_leave_the_code_unticked(studied, ledger):
    manifest, frame = studied
    dirty = {**ledger, "code": [{**ledger["code"][0], "uncommitted_changes": True}]}
    items = checklist(dirty, study_result(frame, manifest), manifest, ())
    code = next(item for item in items if item.question == "Which code?")
    assert not code.is_met
    assert "with uncommitted changes" in code.answer


def test_parquet_and_csv_hold_the_same_tidy_trials(studied, tmp_path: Path):
    frame = studied[1]
    back = pd.read_parquet(io.BytesIO(trials_parquet(frame)))
    text = pd.read_csv(io.StringIO(trials_csv(frame)), keep_default_na=False)
    assert list(back.columns) == list(text.columns)
    assert back["seed"].dtype == "int64"
    assert back["value"].dtype == "float64"
    numbers = pd.to_numeric(text["value"])
    pd.testing.assert_series_equal(back["value"], numbers, check_exact=False)
    assert back["metric"].tolist() == text["metric"].tolist()
