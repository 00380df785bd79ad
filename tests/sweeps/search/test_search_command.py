"""``d2v search`` for real: Ray, Optuna's database, MLflow, a killed driver."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import optuna
import pytest
from optuna.trial import FrozenTrial

from ablations.study.arms import Request
from reports.store.manifests import all_manifests
from sweeps.plan.planning import plan_study
from sweeps.tracking.stores import choose_stores
from sweeps.tracking.tracker import Tracker
from tests.sweeps.command import TINY, Done, d2v, d2v_here
from tests.sweeps.driver.long_run import (
    all_trials,
    checkpoints,
    client,
    end_ray_of,
    events,
    results,
    start,
    wait_until,
)
from tests.sweeps.servers import free_port, wait_for

pytestmark = pytest.mark.thorough
LONG_SPACE = """
name: mine
title: A space with a condition
metric: {vision: linear_accuracy}
set: {training.num_steps: 200, execution.checkpoint_every_seconds: 0.5}
parameters:
  - {setting: teacher.tau.kind, kind: choice, of: [horizon, constant]}
  - {setting: teacher.tau.horizon, kind: float, low: 0.01, high: 1.0, spacing: log,
     when: {teacher.tau.kind: horizon}}
  - {setting: teacher.tau.value, kind: float, low: 0.9, high: 0.9999,
     spacing: log_to_one, when: {teacher.tau.kind: constant}}
"""
STUDY = """
name: later
title: A study that needs the same trial
metric: {vision: linear_accuracy}
set: {training.num_steps: 200}
arms: [{name: recipe}]
"""
TWO_RATES = """
name: rates
title: A good and a bad learning rate, one trial at a time
metric: {vision: linear_accuracy}
early_stopping: {reduction_factor: 2, rungs: 1}
set: {training.num_steps: 20, execution.num_threads: 2}
parameters:
  - {setting: optimizer.learning_rate, kind: choice, of: [0.003, 1.0]}
"""
COSTLY = """
name: costly
title: Accuracy against operations
metric: {vision: linear_accuracy}
cost: flops
parameters:
  - {setting: training.batch_size, kind: int, low: 8, high: 32}
"""
KNOWN = """
name: known
title: A study that has the first trial of a search
metric: {vision: linear_accuracy}
arms: [{name: recipe}]
"""
SEARCH = ("search", "mine.yaml", "--trials", "4")


def trials(folder: Path, name: str = "mine-vision-smoke") -> list[FrozenTrial]:
    database = folder / "d2v-runs" / "search.db"
    if not database.exists() or not is_made(database):
        return []
    try:
        study = optuna.load_study(study_name=name, storage=f"sqlite:///{database}")
    except (KeyError, optuna.exceptions.StorageInternalError):
        return []  # being made
    return study.get_trials()


def is_made(database: Path) -> bool:
    """Whether all tables are there: whoever opens it before makes them as well."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        last = "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
        try:
            return connection.execute(last).fetchone() is not None
        except sqlite3.OperationalError:
            return False  # locked by its maker


def states(folder: Path, name: str = "mine-vision-smoke") -> Counter[str]:
    return Counter(trial.state.name for trial in trials(folder, name))


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A search whose driver was killed between trials, and continued."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "mine.yaml").write_text(LONG_SPACE)
    process = start(folder, *SEARCH)
    try:
        wait_until(lambda: states(folder)["COMPLETE"] and checkpoints(folder), process)
    finally:
        process.close()
        end_ray_of(process.pid)
    before = states(folder)
    assert before["RUNNING"] >= 1
    assert before["COMPLETE"] < 4
    return folder, d2v(folder, *SEARCH)


def test_a_killed_search_continues_and_trains_nothing_twice(
    continued: tuple[Path, Done],
) -> None:
    folder, done = continued
    assert done.code == 0, done.out + done.err
    assert "4 trials: 4 finished" in done.out
    assert states(folder)["COMPLETE"] == 4
    assert not states(folder)["RUNNING"]
    found = results(client(folder))  # one run for each key
    told = [t for t in trials(folder) if t.state.name == "COMPLETE"]
    assert set(found) == {t.user_attrs["key"] for t in told}
    assert {result["run"] for result in found.values()} == {"FINISHED"}
    assert not checkpoints(folder)


def test_the_first_trial_is_the_papers_setting_and_a_study_finds_it(
    continued: tuple[Path, Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = continued
    first = trials(folder)[0]
    assert first.params["teacher.tau.kind"] == "horizon"
    assert first.params["teacher.tau.horizon"] == 0.03
    (folder / "later.yaml").write_text(STUDY)
    request = Request("vision", "smoke", seeds=(0,))
    (cell,) = plan_study(str(folder / "later.yaml"), request).cells
    assert cell.key == first.user_attrs["key"]
    stores = choose_stores(str(folder / "d2v-runs"), None)
    assert not Tracker(stores, "test").lacks(cell.key)


def test_a_search_is_no_study_of_the_reports(continued: tuple[Path, Done]) -> None:
    folder, _ = continued
    runs = client(folder).search_runs(["1"], "tags.`d2v.role` = 'search'")
    assert len(runs) == 1
    assert all_manifests(client(folder)) == []
    for run in all_trials(client(folder)):
        assert run.data.tags["mlflow.parentRunId"] == runs[0].info.run_id


def test_a_search_that_has_enough_only_says_what_it_found(
    continued: tuple[Path, Done],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, first = continued
    again = d2v_here(folder, *SEARCH, monkeypatch=monkeypatch, capsys=capsys)
    assert again.code == 0, again.err
    assert "4 trials: 4 finished" in again.out
    place = folder / "d2v-runs" / "search" / "mine-vision-smoke"
    names = {file.name for file in place.iterdir()}
    expected = {"search.html", "search.md", "search.png", "search.json", "best.yaml"}
    assert expected | {"history.csv", "importance.csv"} <= names
    recipe = (place / "best.yaml").read_text()
    assert recipe.startswith("# d2v train ")
    assert "probe_at" not in recipe


def test_the_dashboard_of_optuna_opens_the_file_as_it_is(
    continued: tuple[Path, Done],
) -> None:
    folder, _ = continued
    port = free_port()
    dashboard = Path(sys.executable).with_name("optuna-dashboard")
    store = f"sqlite:///{folder / 'd2v-runs' / 'search.db'}"
    options = ("--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref")
    server = subprocess.Popen(
        [str(dashboard), store, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, server)
        with urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=30) as answer:
            (summary,) = json.load(answer)["study_summaries"]
        address = f"http://127.0.0.1:{port}/api/studies/{summary['study_id']}"
        with urlopen(address, timeout=30) as answer:
            detail = json.load(answer)
    finally:
        server.kill()
        server.wait()
    assert summary["study_name"] == "mine-vision-smoke"
    assert detail["objective_names"] == ["linear probe accuracy (%), validation split"]
    assert len(detail["trials"]) == len(trials(folder))


def test_asha_gives_a_bad_trial_up_and_repeated_suggestions_are_not_trained(
    tmp_path: Path,
) -> None:
    (tmp_path / "rates.yaml").write_text(TWO_RATES)
    done = d2v(tmp_path, "search", "rates.yaml", "--trials", "6")
    assert done.code == 0, done.out + done.err
    ends = Counter(
        (t.params["optimizer.learning_rate"], t.user_attrs["end"])
        for t in trials(tmp_path, "rates-vision-smoke")
    )
    assert set(ends) == {(0.003, "finished"), (1.0, "stopped_early")}
    assert sum(ends.values()) == 6
    store = client(tmp_path)
    good, bad = sorted(all_trials(store), key=lambda run: run.info.status)
    assert (good.info.status, bad.info.status) == ("FINISHED", "KILLED")
    assert "d2v.status" not in bad.data.tags
    assert bad.data.tags["d2v.reason"].startswith("stopped early at update 10 with")
    probes = store.get_metric_history(
        bad.info.run_id, "probe/linear_validation_accuracy"
    )
    assert [probe.step for probe in probes] == [10]
    ended = {event["status"] for event in events(tmp_path, "trial_ended")}
    assert ended == {"finished", "stopped_early"}
    assert not list(tmp_path.glob("d2v-runs/checkpoints/*"))


def test_a_second_objective_is_counted_and_every_trade_off_kept(
    tmp_path: Path,
) -> None:
    (tmp_path / "costly.yaml").write_text(COSTLY)
    (tmp_path / "known.yaml").write_text(KNOWN)
    before = d2v(tmp_path, "run", "known.yaml", "--seeds", "1", *TINY)
    assert before.code == 0, before.out + before.err
    asked = ("costly.yaml", "--trials", "3", "--path-seeds", "2", *TINY)
    done = d2v(tmp_path, "search", *asked)
    assert done.code == 0, done.out + done.err
    told = trials(tmp_path, "costly-vision-smoke-" + done.out.split("smoke-")[1][:8])
    assert [trial.state.name for trial in told] == ["COMPLETE"] * 3
    sizes = {trial.params["training.batch_size"]: trial.values[1] for trial in told}
    assert sizes[32] / 32 == pytest.approx(sizes[min(sizes)] / min(sizes))
    page = next(tmp_path.glob("d2v-runs/search/*/search.html")).read_text()
    assert "Trade-offs" in page
    assert told[0].user_attrs["found in the store"]  # of the study
    assert all("found in the store" not in trial.user_attrs for trial in told[1:])

    path = list(tmp_path.glob("d2v-runs/search/*/path.yaml"))
    better = max(told, key=lambda trial: trial.values[0]) is not told[0]
    assert bool(path) == better
    (table,) = tmp_path.glob("d2v-runs/reports/costly*/table.csv") if path else [None]
    if table is not None:
        rows = csv.DictReader(table.read_text().splitlines())
        assert [row["n"] for row in rows] == ["2", "2"]
