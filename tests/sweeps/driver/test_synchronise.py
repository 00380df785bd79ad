"""A study is edited, and the same command given again."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.store.mlflow_view import study_views
from tests.sweeps.command import TINY, Here, d2v
from tests.sweeps.driver.long_run import all_trials, client

STUDY = """\
name: edited
title: A study that is edited
arms:
  - {{name: two, set: {{target.top_k: 2}}}}
  - {{name: {name}, set: {{target.top_k: {top_k}}}}}
metric: {{vision: linear_accuracy}}
"""
COMMAND = ("edited.yaml", "--seeds", "2", *TINY)


@pytest.mark.thorough
def test_only_what_is_new_is_trained_and_what_was_removed_stays(
    tmp_path: Path, here: Here
) -> None:
    file = tmp_path / "edited.yaml"
    file.write_text(STUDY.format(name="one", top_k=1))
    first = d2v(tmp_path, "run", *COMMAND)
    assert first.code == 0, first.err
    before = {run.info.run_id for run in all_trials(client(tmp_path))}

    file.write_text(STUDY.format(name="three", top_k=3))
    plan = here(tmp_path, "plan", *COMMAND)
    assert "4 cells, 4 unique trials, 2 cached, 2 to train" in plan.out
    left = "2 trials of an earlier run stay in the store and leave the table (one: 2)"
    assert f"edited: {left}" in plan.out

    second = d2v(tmp_path, "run", *COMMAND)
    assert second.code == 0, second.err
    assert "2 trials trained (2 finished), 2 cached" in second.out
    table = second.out[second.out.index("\narm ") : second.out.index("report:")]
    assert "two" in table
    assert "three" in table
    assert "one" not in table
    after = {run.info.run_id for run in all_trials(client(tmp_path))}
    assert len(after) == len(before) + 2
    assert before < after
    (view,) = study_views(client(tmp_path), "edited")
    shown = client(tmp_path).search_runs(view.experiment_ids, view.filter)
    assert {run.data.tags["d2v.arm"] for run in shown} == {"two", "three"}
    (ledger,) = tmp_path.glob("d2v-runs/reports/edited*/ledger.md")
    assert "one" in ledger.read_text()  # what was removed is named

    file.write_text(STUDY.format(name="one", top_k=1))
    third = here(tmp_path, "run", *COMMAND)
    assert "nothing to train: all 4 trials" in third.out

    more = ("edited.yaml", "--seeds", "3", *TINY)
    fourth = d2v(tmp_path, "run", *more, "--arm", "two")
    assert fourth.code == 0, fourth.err
    assert "1 trial trained (1 finished), 4 cached" in fourth.out
    assert "; 1 of other arms left" in fourth.out
    counts = {
        line.split()[0]: line.split()[1]
        for line in fourth.out.splitlines()[2:]
        if line.startswith(("two ", "one "))
    }
    assert counts == {"two": "3/3", "one": "2/3"}
