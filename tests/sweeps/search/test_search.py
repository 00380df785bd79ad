"""Searches without Ray: what Optuna is asked and told, and what is made of it."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from ablations.identity import SCHEMA_VERSION
from ablations.search.bound_space import BoundSpace
from ablations.search.record import SearchOutcome
from d2v_core.errors import ConfigError
from reports.search import search_console, write_search
from sweeps.listener import Listener
from sweeps.search.analysis import analyse
from sweeps.search.bookkeeper import SearchBoard
from sweeps.search.cells import Cells
from sweeps.search.distributions import from_optuna, suggest, to_optuna
from sweeps.search.engine import asha
from sweeps.search.run import _take_alone
from sweeps.search.searcher import StoredSearch
from sweeps.search.study import (
    END,
    KEY,
    make_sampler,
    num_ended,
    open_storage,
    open_study,
    search_id,
)
from sweeps.tracking.locks import TrialLocks
from sweeps.tracking.stores import choose_stores
from sweeps.worker.spool import Spool
from tests.ablations.search.test_space import RATE, TAU, K, bound
from tests.sweeps.tracking.test_labels import failed


def opened(searched: BoundSpace, folder: Path) -> optuna.Study:
    return open_study(searched, open_storage(f"sqlite:///{folder}/search.db"))


def searching(searched: BoundSpace, folder: Path, num_trials: int, value: Any) -> Any:
    """A search whose trials are a known function of the point."""
    study = opened(searched, folder)
    study.sampler = make_sampler(study, 0)
    for _ in range(num_trials):
        trial = study.ask()
        point = suggest(trial, searched)
        trial.set_user_attr(KEY, str(sorted(point.items())))
        trial.set_user_attr(END, "finished")
        study.tell(trial, value(point))
    return study


def paper_key(searched: BoundSpace) -> str:
    return str(sorted(searched.paper.items()))


def test_the_papers_setting_comes_first_and_bit_for_bit(tmp_path):
    searched = bound(K, RATE, *TAU)
    study = opened(searched, tmp_path)
    drawn = [suggest(study.ask(), searched) for _ in range(12)]
    assert drawn[0] == searched.paper
    assert searched.trial(drawn[0]) == searched.base
    kinds = {point["teacher.tau.kind"]: set(point) for point in drawn}
    assert "teacher.tau.value" not in kinds["horizon"]
    assert "teacher.tau.horizon" not in kinds["constant"]
    for point in drawn:
        assert from_optuna(to_optuna(searched, point)) == point
        searched.trial(point)


def test_what_a_crash_cut_off_is_asked_for_again_and_counts_once(tmp_path):
    searched = bound(K, RATE, *TAU)
    study = opened(searched, tmp_path)
    done, cut = study.ask(), study.ask()
    first, lost = suggest(done, searched), suggest(cut, searched)
    done.set_user_attr(END, "finished")
    study.tell(done, 50.0)
    failed = study.ask()
    failed.set_user_attr(END, "diverged")
    study.tell(failed, state=TrialState.FAIL)

    again = opened(searched, tmp_path)
    states = [trial.state.name for trial in again.get_trials()]
    assert states == ["COMPLETE", "FAIL", "FAIL", "WAITING"]
    assert num_ended(again) == 2
    assert suggest(again.ask(), searched) == lost != first


def test_a_continued_search_does_not_repeat_its_beginning(tmp_path):
    searched = bound(RATE)

    def drawn(study: optuna.Study) -> list[float]:
        study.sampler = make_sampler(study, 0)
        return [study.ask().suggest_float("x", 0.0, 1.0) for _ in range(3)]

    study = opened(searched, tmp_path)
    first = drawn(study)
    assert not set(first) & set(drawn(study))


def test_a_search_cannot_go_on_in_another_space(tmp_path):
    opened(bound(K), tmp_path)
    with pytest.raises(ConfigError) as caught:
        opened(bound(K, RATE), tmp_path)
    assert str(caught.value) == (
        "d2v search: the search mine-vision-smoke began with another space or recipe; "
        "give the space another name, or undo the change"
    )


def test_a_search_cannot_go_on_with_settings_that_meant_something_else(tmp_path):
    study = opened(bound(K), tmp_path)
    began_with = dict(study.user_attrs["space"])
    assert began_with.pop("schema") == SCHEMA_VERSION  # older ones wrote none
    study.set_user_attr("space", began_with)
    with pytest.raises(ConfigError, match="settings or metrics that meant something"):
        opened(bound(K), tmp_path)


def test_the_name_of_a_search_tells_its_options():
    assert search_id(bound(K)) == "mine-vision-smoke"
    other = search_id(bound(RATE, K, sets=("target.top_k=2",)))
    assert other.startswith("mine-vision-smoke-")


def test_one_search_runs_once_at_a_time(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path\n"
        "from sweeps.tracking.locks import TrialLocks\n"
        "from sweeps.search.run import _take_alone\n"
        "from tests.ablations.search.test_space import K, bound\n"
        f"with TrialLocks(Path({str(tmp_path)!r})) as locks:\n"
        "    _take_alone(bound(K), locks); print('taken', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"taken\n"
        with (
            TrialLocks(tmp_path) as locks,
            pytest.raises(ConfigError, match="mine-vision-smoke is running already"),
        ):
            _take_alone(bound(K), locks)
        other.kill()


def test_a_store_optuna_cannot_use_is_refused():
    with pytest.raises(
        ConfigError,
        match="--optuna-storage: must start with sqlite:///, or a database scheme",
    ):
        open_storage("nonsense")


def test_many_may_make_the_store_at_once(tmp_path: Path) -> None:
    uris = [f"sqlite:///{tmp_path}/{n}.db" for n in range(3) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(open_storage, uris))
    assert all(store.get_all_studies() == [] for store in stores)


def test_a_result_counts_though_its_process_died_at_the_end(tmp_path):
    searched = bound(RATE)
    study = opened(searched, tmp_path)
    stores = choose_stores(str(tmp_path), None)
    spool = Spool(stores.checkpoints / "k")
    trials = SimpleNamespace(spool=lambda cell: spool)
    heard = SimpleNamespace(records={}, stores=stores, trials=trials)

    def told_of(*, at_rest: bool) -> FrozenTrial:
        searcher: Any = StoredSearch(
            *(Cells(searched), heard, Listener(), study, 1, None),
        )
        trial = study.ask()
        suggest(trial, searched)
        searcher._keys["tune"], searcher._asked["k"] = "k", [trial]
        searcher._planned["k"] = None
        validation = f"eval/{searched.metric.validation}"
        record = failed(status="finished", reason="", metrics={validation: 42.0})
        if at_rest:
            spool.write_record(record, 1_000)
        else:
            heard.records["k"] = record
        searcher.on_trial_complete("tune", error=True)
        return study.trials[trial.number]

    for at_rest in (True, False):
        told = told_of(at_rest=at_rest)
        assert (told.state, told.values) == (TrialState.COMPLETE, [42.0])
        assert told.user_attrs[END] == "finished"
        spool.handed_in(done=True)


def test_asha_stops_by_the_validation_probe_and_never_by_the_loss():
    from ray.tune.experiment import Trial
    from ray.tune.schedulers import TrialScheduler

    searched = bound(K, early_stopping={"reduction_factor": 2, "rungs": 2})
    assert asha(bound(K)) is None
    scheduler = asha(searched)
    assert scheduler is not None
    trials = [Trial("x", stub=True) for _ in range(2)]
    for trial in trials:
        scheduler.on_trial_add(None, trial)
    early, late = searched.base.execution.probe_at

    def decision(trial: Trial, share: float, accuracy: float) -> str:
        report = {
            "probe/share": share,
            "probe/linear_validation_accuracy": accuracy,
            "train/loss": 100.0 - accuracy,
        }
        return str(scheduler.on_trial_result(None, trial, report))

    for trial in trials:
        loss = {"train/loss": 1e9, "training_iteration": 100, "done": False}
        assert scheduler.on_trial_result(None, trial, loss) == TrialScheduler.CONTINUE
    assert decision(trials[0], early, 60.0) == TrialScheduler.CONTINUE
    assert decision(trials[1], early, 70.0) == TrialScheduler.CONTINUE
    assert decision(trials[0], late, 80.0) == TrialScheduler.CONTINUE
    assert decision(trials[1], late, 79.0) == TrialScheduler.STOP


def test_the_outcome_says_what_matters_and_how_to_get_there(tmp_path):
    searched = bound(K, RATE, *TAU)

    def value(point: dict[str, Any]) -> float:
        constant = point["teacher.tau.kind"] == "constant"
        return 50.0 + 10.0 * constant - 2.0 * abs(point["target.top_k"] - 2)

    study = searching(searched, tmp_path, 25, value)
    outcome, steps = analyse(searched, study, paper_key(searched))
    assert outcome.paper == 0
    assert outcome.best is not None
    best = outcome.trial(outcome.best)
    assert (best.value, best.point["teacher.tau.kind"]) == (60.0, "constant")
    always = [one for one in outcome.importance if not one.condition]
    assert always[0].setting == "teacher.tau.kind"
    assert always[0].share > 0.5
    assert sum(one.share for one in always) == pytest.approx(1.0)
    inner = {one.setting: one.condition for one in outcome.importance}
    assert inner["teacher.tau.value"] == "teacher.tau.kind = constant"
    assert steps[0].label.startswith("+ tau.kind = constant, tau.value = ")
    assert steps[-1].point == best.point


def test_the_files_of_an_outcome_are_complete_and_the_same_each_time(tmp_path):
    searched = bound(K, RATE, *TAU)
    study = searching(
        searched, tmp_path, 8, lambda point: -10.0 * point["target.top_k"]
    )
    outcome, _ = analyse(searched, study, paper_key(searched))
    files = write_search(outcome, tmp_path / "a", "d2v run path.yaml")
    again = write_search(outcome, tmp_path / "b", "d2v run path.yaml")
    assert {name: file.read_bytes() for name, file in files.items()} == {
        name: file.read_bytes() for name, file in again.items()
    }
    read = SearchOutcome.model_validate_json(files["search.json"].read_text())
    assert read == outcome
    assert len(files["history.csv"].read_text().splitlines()) == 1 + 8
    page = files["search.html"].read_text()
    assert "d2v run path.yaml" in page
    own = re.sub(r"<script>.*?</script>|<meta http-equiv", "", page, flags=re.DOTALL)
    for namer in ("http://www.w3.org", "https://vega.github.io/schema"):
        own = own.replace(namer, "")
    assert "http" not in own
    assert search_console(outcome)


def test_two_objectives_keep_every_trade_off_and_stop_nobody(tmp_path):
    searched = bound(K, RATE, cost="flops")
    assert asha(searched) is None

    def value(point: dict[str, Any]) -> tuple[float, float]:
        return 10.0 * point["target.top_k"], 1e9 * point["target.top_k"]

    study = searching(searched, tmp_path, 12, value)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    outcome, _ = analyse(searched, study, paper_key(searched))
    assert {t.point["target.top_k"] for t in outcome.trials if t.efficient} == {
        t.point["target.top_k"] for t in outcome.trials
    }
    files = write_search(outcome, tmp_path / "files", "")
    assert "FLOPs" in files["search.html"].read_text()


def test_a_search_without_any_result_says_so(tmp_path):
    searched = bound(K)
    study = opened(searched, tmp_path)
    trial = study.ask()
    suggest(trial, searched)
    trial.set_user_attr(END, "diverged")
    study.tell(trial, state=TrialState.FAIL)
    outcome, steps = analyse(searched, study, "0" * 16)
    assert (outcome.best, outcome.paper, steps) == (None, None, [])
    files = write_search(outcome, tmp_path / "files", "")
    assert "None has a result" in files["search.md"].read_text()


def test_a_search_says_3_of_6_and_counts_what_is_not_launched_yet():
    cells = Cells(bound(K))
    board = SearchBoard([cells.plan_search()], 2, num_wanted=6, num_not_asked=3)
    planned = [cells.plan_cell({"target.top_k": k}, k) for k in (1, 2)]
    for cell in planned:
        board.add(cell, "waiting")
    done, runs = board.trials.values()
    done.state, done.seconds, done.score = "finished", 10.0, 50.0
    runs.state = "running"
    assert board.lines()[0] == "2 of 6"  # one of an earlier run among them
    assert board.eta_seconds() == pytest.approx(3 * 10.0 / 2)
    board.num_not_asked, runs.state = 2, "finished"
    assert board.summary().startswith("4 of 6 · 2 done · 0 running · 0 waiting")
    assert " · best trial 1 · seed 0 50.0" in board.summary()
    console = Console(file=io.StringIO(), width=50, record=True)
    console.print(board)
    assert max(map(len, console.export_text().splitlines())) <= 50
