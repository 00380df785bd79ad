"""More trials than Ray Tune gets at a time, and a no in between."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps.ray import engine
from tests.sweeps.command import TINY
from tests.sweeps.driver.long_run import events, starts
from tests.sweeps.ray.test_compat import check_ended_well, run

TWO_AT_A_TIME = """
from sweeps.ray import engine
engine.LEAST_AT_A_TIME, engine.ROUNDS = 2, 1
import d2v_cli
d2v_cli.main()
"""


@pytest.mark.thorough
def test_one_tuner_follows_another(tmp_path: Path) -> None:
    done = run(tmp_path, TWO_AT_A_TIME, "--seeds=5", *TINY)
    check_ended_well(tmp_path, done, num_trials=5)
    assert [len(steps) for steps in starts(tmp_path).values()] == [1] * 5
    assert len(events(tmp_path, "run_ended")) == 1


def test_after_a_no_no_tuner_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def tune(order: Any, *arguments: Any, num_trials: int, **named: Any) -> None:
        asked.append(num_trials)
        while order.num_left and num_trials:
            order.suggest("trial")
            num_trials -= 1

    monkeypatch.setattr(engine, "tune_trials", tune)
    monkeypatch.setattr(engine, "check_resources", lambda *_: None)
    monkeypatch.setattr(engine, "at_once", lambda *_: None)
    monkeypatch.setattr("sweeps.ray.launching.packed", lambda job: job)
    monkeypatch.setattr(engine, "LEAST_AT_A_TIME", 3)
    session: Any = SimpleNamespace(
        start=lambda: None, nodes=(), num_at_once=lambda _: 1
    )
    monkeypatch.setattr(engine, "ROUNDS", 1)
    jobs: Any = [SimpleNamespace(cell=SimpleNamespace(trial=None))] * 8
    engine.train_with_ray(jobs, None, session, lambda job: True)
    assert asked == [3, 3, 2]
    answers = iter([True] * 4 + [False])
    asked.clear()
    engine.train_with_ray(jobs, None, session, lambda job: next(answers))
    assert asked == [3, 3]
