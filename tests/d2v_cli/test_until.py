"""``--until-decided`` as a user gives it: its plan, its loop, and a real run."""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ablations.record import Record
from ablations.study.arms import Request
from d2v_cli import until
from d2v_cli.until import is_over, joined, look_text, run_until_decided
from d2v_core.errors import ConfigError, Problem
from sweeps.driver.budget import BudgetTooSmallError
from sweeps.driver.outcome import Outcome
from sweeps.plan.planning import make_manifest, plan_study
from sweeps.planned import StudyPlan
from sweeps.tracking.stores import choose_stores
from tests.sweeps.command import TINY, d2v, d2v_here
from tests.sweeps.driver.long_run import running, trials_so_far, wait_until

STUDY = """\
name: twins
title: Two arms that are alike, and one that is not
arms:
  - {name: one, set: {optimizer.weight_decay: 0.05}}
  - {name: other, set: {optimizer.weight_decay: 0.0500001}}
reference_arms: [untrained]
baseline: one
seeds: 2
metric: {vision: linear_accuracy}
claims:
  - id: not-far-below
    says: Training costs less than ninety points.
    test: {kind: better, arm: one, than: untrained, by: -90}
  - id: differ
    says: A weight decay that is higher by a millionth is better.
    test: {kind: better, arm: other, than: one}
"""
"""The first claim is decided at the first look, the second one never."""
UNTIL = ("--until-decided", "--max-seeds", "12")


@pytest.fixture
def study(tmp_path: Path) -> str:
    file = tmp_path / "twins.yaml"
    file.write_text(STUDY)
    return str(file)


@pytest.fixture
def plan(study: str) -> StudyPlan:
    request = Request("vision", "smoke", seeds=tuple(range(12)))
    return replace(plan_study(study, request), looks=(8, 12))


def test_arms_may_have_different_numbers_of_seeds(plan: StudyPlan) -> None:
    fewer = plan.with_seeds({"one": 12, "other": 12, "untrained": 8})
    manifest = make_manifest(fewer, "d2v run")
    assert manifest.looks == (8, 12)
    assert Counter(cell.arm for cell in manifest.cells) == {
        **{"one": 12, "other": 12},
        "untrained": 8,
    }
    assert {c.seed for c in manifest.cells if c.arm == "untrained"} == set(range(8))


class Runs:
    """Stands for the engine: every trial scores, and is remembered as run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Counter[str]] = []
        self.budgets: list[float | None] = []
        self.outcomes: list[Outcome | Exception] = []
        self._seeds: Counter[str] = Counter()
        monkeypatch.setattr(
            "reports.claims.next_seeds.seeds_by_arm", lambda *_: self._now()
        )
        monkeypatch.setattr(until, "results_so_far", lambda *_: ((), ()))

    def _now(self) -> dict[str, int]:
        first = {"one": 8, "other": 8, "untrained": 8}
        return first if not self.asked else {**first, "one": 12, "other": 12}

    def __call__(self, plans, budget):
        self.asked.append(Counter(cell.arm.label for cell in plans[0].cells))
        self.budgets.append(budget)
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def loop(plan: StudyPlan, runs: Runs, tmp_path: Path, budget: float | None = None):
    stores = choose_stores(str(tmp_path / "runs"), None)
    return run_until_decided([plan], stores, runs, Console(), budget)


def test_looks_follow_each_other_until_nothing_is_added(
    plan, tmp_path, monkeypatch, capsys
):
    runs = Runs(monkeypatch)
    loop(plan, runs, tmp_path, budget=1_000.0)
    assert [sum(each.values()) for each in runs.asked] == [24, 32]
    assert runs.asked[1]["untrained"] == 8
    first, second = runs.budgets
    assert first is not None
    assert second is not None
    assert second <= first <= 1_000.0  # one budget for all looks
    out = capsys.readouterr().out
    assert "twins: to the next look, 8 seeds of one, other, untrained" in out
    assert "twins: to the next look, 12 seeds of one, other (untrained: no more)" in out


def test_a_budget_that_is_used_up_ends_the_looks_without_an_error(
    plan, tmp_path, monkeypatch
):
    too_small = BudgetTooSmallError([Problem("--budget", "too small")])
    runs = Runs(monkeypatch)
    runs.outcomes = [Outcome(), too_small]
    loop(plan, runs, tmp_path, budget=10.0)
    assert len(runs.asked) == 2
    runs = Runs(monkeypatch)
    runs.outcomes = [too_small]
    with pytest.raises(ConfigError, match="too small"):
        loop(plan, runs, tmp_path, budget=10.0)


def test_a_look_that_was_not_finished_ends_the_run(plan, tmp_path, monkeypatch):
    runs = Runs(monkeypatch)
    runs.outcomes = [Outcome(num_unfinished=1)]
    outcome = loop(plan, runs, tmp_path)
    assert len(runs.asked) == 1
    assert outcome.interrupted


def failed(status: str) -> Record:
    return Record.model_construct(status=status, key="k", reason="")


def test_only_a_divergence_is_no_reason_to_stop():
    assert not is_over(Outcome())
    assert not is_over(Outcome(failed=[failed("diverged")]))
    assert is_over(Outcome(failed=[failed("out_of_memory")]))
    assert is_over(Outcome(trouble="the disk is full"))


def test_the_outcome_is_that_of_one_run():
    first = Outcome(num_cached=2, trained=Counter(finished=22), seconds=10.0)
    second = Outcome(num_cached=24, trained=Counter(finished=8), seconds=5.0)
    total = joined([first, second])
    assert (total.num_cached, total.trained["finished"]) == (2, 30)
    assert total.seconds == 15.0
    assert second.trained["finished"] == 8


def test_a_line_says_what_the_next_look_needs():
    assert look_text({"a": 8, "b": 8}, {}) == "to the next look, 8 seeds of a, b"
    text = look_text({"a": 8, "b": 12, "c": 16}, {"a": 8, "b": 8, "c": 12})
    assert text == "to the next look, 12 seeds of b; 16 seeds of c (a: no more)"


def test_the_plan_shows_looks_and_says_what_is_unknown(
    study, tmp_path, monkeypatch, capsys
):
    run = {"monkeypatch": monkeypatch, "capsys": capsys}
    done = d2v_here(tmp_path, "plan", study, *UNTIL, *TINY, "--json", **run)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert [look["seeds"] for look in told["looks"]] == [8, 12]
    assert [look["missing"] for look in told["looks"]] == [24, 36]
    assert told["chances_to_decide"] == {
        "twins": {"not-far-below": None, "differ": None}
    }
    done = d2v_here(tmp_path, "plan", study, *UNTIL, *TINY, **run)
    assert "up to the look at" in done.out
    assert "unknown" in done.out
    assert "--until-decided" in done.out.splitlines()[-1]
    assert "--max-seeds 12" in done.out.splitlines()[-1]


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.timeout(1_800)
def test_an_interrupted_run_goes_on_and_its_arms_stop(
    study: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    here = {"monkeypatch": monkeypatch, "capsys": capsys}
    command = ("run", study, *UNTIL, *TINY)
    with running(tmp_path, *command) as run:
        wait_until(lambda: num_done(tmp_path) > 3, run)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=300)
    assert run.returncode == 1, out
    assert "twins: differ: undecided after no look yet" in out
    before = num_done(tmp_path)
    assert before < 24

    done = d2v(tmp_path, *command)
    assert done.code == 0, done.out + done.err
    assert f"{before} cached" in done.out
    assert "to the next look, 12 seeds of one, other (untrained: no more)" in done.out
    assert "twins: not-far-below: supported at the look at 8 seeds" in done.out
    assert "twins: differ: undecided after the look at 12 seeds" in done.out
    assert num_done(tmp_path) == 32
    page = next((tmp_path / "d2v-runs" / "reports").iterdir()) / "table.md"
    assert "planned looks at 8 and 12 seeds" in page.read_text()

    again = d2v_here(tmp_path, *command, **here)
    assert "nothing to train: all 32 trials" in again.out
    plan = d2v_here(tmp_path, "plan", study, *UNTIL, *TINY, **here)
    assert "32 cells, 32 unique trials, 32 cached" in plan.out
    assert "100 %" in plan.out

    plain = d2v_here(tmp_path, "run", study, "--seeds", "8", *TINY, **here)
    assert plain.code == 0, plain.out + plain.err
    assert "all 24 trials" in plain.out
    assert "look at" not in plain.out


def num_done(folder: Path) -> int:
    return sum(run.info.status == "FINISHED" for run in trials_so_far(folder))
