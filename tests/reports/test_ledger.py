from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from reports.checklist import checklist, checklist_markdown
from reports.formats import trials_csv, trials_parquet
from reports.ledger import build_ledger, ledger_json, ledger_markdown
from reports.statistics import study_result
from reports.store import trial_frame
from tests.reports.stores import Store, make_manifest


@pytest.fixture(scope="module")
def studied(store: Store):
    """Six cells: failed then finished, collapsed, diverged, finished twice, missing."""
    manifest = make_manifest("ledger", ks=(1, 2), references=("untrained",), seeds=2)
    store.study(manifest)
    here = {"torch": "2.11.0", "python": "3.11.7", "processor": "A"}
    store.trial(manifest, "K=1", 0, None, status="failed", reason="no memory")
    store.trial(manifest, "K=1", 0, 60.0, environment=here)
    store.trial(manifest, "K=2", 0, 20.0, status="collapsed", environment=here)
    store.trial(manifest, "K=1", 1, None, status="diverged", reason="nan")
    store.trial(manifest, "K=2", 1, 61.0, environment={**here, "processor": "B"})
    store.trial(manifest, "untrained", 0, 40.0)
    return manifest, trial_frame(store.client, manifest)


@pytest.fixture(scope="module")
def ledger(store: Store, studied):
    manifest, frame = studied
    return build_ledger(store.client, frame, manifest)


def test_counts_are_exact_failed_tries_included(ledger):
    assert ledger["trials"] == {
        "planned": 6,
        "runs": 6,
        "finished": 3,
        "collapsed": 1,
        "diverged": 1,
        "out_of_memory": 0,
        "timed_out": 0,
        "failed": 0,
        "unfinished": 0,
        "missing": 1,
    }
    first = ledger["by_trial"][0]
    assert (first["arm"], first["status"], first["num_runs"]) == ("K=1", "finished", 2)


def test_costs_environments_code_and_data_are_as_logged(ledger):
    seconds = ledger["cost"]["training_seconds"]
    assert (seconds["total"], seconds["trials"], seconds["mean"]) == (50.0, 4, 12.5)
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
    ledger = build_ledger(store.client, frame.assign(**{"cost/flops": 2e12}), manifest)
    assert ledger["cost"]["flops"]["total"] == 1.2e13
    assert "1.2e+13 FLOPs over 6 trials" in ledger_markdown(ledger)


def test_the_ledger_reads_as_text(ledger):
    text = ledger_markdown(ledger)
    assert "6 planned, 6 runs: 3 finished, 1 collapsed, 1 diverged, 1 missing" in text
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
    assert "target.top\\_k: 1, 2" in text
    assert "a p below 0.05 needs 6 pairs of seeds" in text


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
