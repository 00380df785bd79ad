"""What a person sees while trials run, on a terminal and elsewhere."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from ablations.study.arms import Request
from sweeps.driver import progress
from sweeps.driver.progress import Board, LiveView
from sweeps.driver.trial_view import TrialView
from sweeps.plan.planning import plan_study, unique_trials


@pytest.fixture
def board() -> Board:
    plan = plan_study("layer_averaging", Request("vision", "smoke", seeds=(0, 1)))
    board = Board([plan], num_parallel_trials=2, bars=True)
    for cell in unique_trials([plan]).values():
        board.add(cell, "waiting")
    return board


def run(trial: TrialView, *, seconds: float, step: int, first_step: int = 0) -> None:
    trial.state, trial.started = "running", time.monotonic() - seconds
    trial.step, trial.first_step, trial.num_steps = step, first_step, 100


def end(trial: TrialView, seconds: float, score: float) -> None:
    trial.state, trial.seconds, trial.score = "finished", seconds, score


def test_nothing_is_promised_before_the_first_updates(board: Board) -> None:
    run(next(iter(board.trials.values())), seconds=5.0, step=0)
    assert board.eta_seconds() is None
    assert "ETA …" in board.summary()


def test_the_estimate_comes_from_the_trials_own_speed(board: Board) -> None:
    first, second, *others = board.trials.values()
    run(first, seconds=10.0, step=60, first_step=40)  # resumed: 20 updates in 10 s
    left = 20.0
    assert first.rest_seconds() == pytest.approx(left, rel=0.01)
    end(second, seconds=50.0, score=60.0)
    mean = ((10.0 + left) + 50.0) / 2
    expected = (left + mean * len(others)) / 2
    assert board.eta_seconds() == pytest.approx(expected, rel=0.01)


def test_a_terminal_shows_a_table_with_bars(board: Board) -> None:
    first, second, *_ = board.trials.values()
    run(first, seconds=10.0, step=50)
    end(second, seconds=20.0, score=61.25)
    out = io.StringIO()
    with LiveView(
        board, Console(file=out, force_terminal=True, width=100), len
    ) as view:
        view.say_ended(second)
    shown = out.getvalue()
    for part in ("seed 1", "K=4", "50 %", "61.2", "50/100", "0:10 left", "1 done"):
        assert part in shown, part
    for part in ("ETA ", "0:00", "5.0 updates/s", "best arm K=2 61.2 (1 seed)"):
        assert part in shown, part
    assert "K=1 · seed 0: finished" not in shown  # the table has it


def drawn(board: Board, width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    console.print(board)
    return out.getvalue().splitlines()


def test_50_columns_are_enough_whatever_the_arms_are_called(board: Board) -> None:
    board.bars = False
    plan = plan_study("collapse", Request("vision", "smoke", seeds=tuple(range(8))))
    wide = Board([plan], num_parallel_trials=6)
    for cell in unique_trials([plan]).values():
        wide.add(cell, "waiting")
    for trial in list(wide.trials.values())[:6]:
        run(trial, seconds=10.0, step=50)
        trial.latest = {"train/loss": 0.034567, "target/std": 0.512}
    for shown in (board, wide):
        lines = drawn(shown, 50)
        assert max(map(len, lines)) <= 50
        assert not any("seed 7" in line for line in lines)
    assert any("… 2 more" in line for line in lines)
    (title,) = [line for line in lines if "up/s" in line]
    assert title.split() == ["running", "seed", "done", "up/s", "loss", "spread"]
    first = lines[lines.index(title) + 1]
    assert first.split()[-6:] == ["50", "%", "5.0", "0.0346", "ok", "0.51"]


def test_an_arm_has_the_mean_of_its_seeds_and_their_number(board: Board) -> None:
    plan = board.plans[0]
    of_arm = {(c.arm.label, c.seed): board.trials[c.key] for c in plan.cells}
    end(of_arm["K=4", 0], 20.0, 60.0)
    end(of_arm["K=4", 1], 20.0, 62.0)
    end(of_arm["K=2", 0], 20.0, 61.5)
    end(of_arm["untrained", 0], 20.0, 99.0)
    text = "\n".join(drawn(board, 100))
    assert "best arm K=2 61.5 (1 seed)" in text
    assert "best trial K=4 · seed 1 62.0" in text
    (row,) = [line for line in text.splitlines() if line.strip("│ ").startswith("K=4")]
    assert "61.0" in row
    assert "2/2" in row


def test_a_spread_below_its_threshold_is_low(board: Board) -> None:
    trial = next(iter(board.trials.values()))
    run(trial, seconds=1.0, step=1)
    assert trial.health_text().plain == "…"
    trial.latest = {"target/std": 0.5}
    trial.least = {"target/std": 0.1}
    assert trial.health_text().plain == "ok 0.50"
    trial.latest = {"target/std": 0.05}
    assert trial.health_text().plain == "low 0.05"
    trial.latest = {"train/loss": 1.0}  # a supervised arm has no targets
    assert trial.health_text().plain == "–"


def test_elsewhere_a_line_for_each_end_and_for_each_long_silence(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next(iter(board.trials.values()))
    out = io.StringIO()
    with LiveView(board, Console(file=out, width=200), len) as view:
        view.still_there()
        assert out.getvalue() == ""
        monkeypatch.setattr(progress, "SILENT_SECONDS", 0.0)
        view.still_there()
        end(first, seconds=20.0, score=61.25)
        view.say_ended(first)
    silent, ended = out.getvalue().splitlines()
    assert silent.startswith("[0 done · 0 running · 12 waiting")
    assert ended.startswith("K=1 · seed 0: finished 61.25 (0:20)  [1 done")
