"""What a budget launches: whole seeds, in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.study.arms import Request
from d2v_core.errors import ConfigError
from sweeps.driver.budget import Budget
from sweeps.driver.progress import Board
from sweeps.plan.durations import parse_budget
from sweeps.plan.planning import plan_study, unique_trials
from sweeps.tracking.stores import choose_stores

SEEDS = (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7_200), ("1h30m", 5_400), ("90m", 5_400), ("45s", 45), ("0.5d", 43_200)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-1h", "0s", "2h later"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--budget: must be a duration such as 2h"):
        parse_budget(text)


@pytest.fixture
def board() -> Board:
    """Three seeds of six arms, two workers, nothing started."""
    plan = plan_study("layer_averaging", Request("vision", "smoke", seeds=SEEDS))
    board = Board([plan], num_parallel_trials=2)
    for cell in unique_trials([plan]).values():
        board.add(cell, "waiting")
    return board


def budget(seconds: float, board: Board, price: float = 10.0) -> Budget:
    """A budget where trials are expected to take ten seconds each: 30 s for a seed."""
    unique = unique_trials(board.plans)
    return Budget(seconds, dict.fromkeys(unique, price), unique)


def of_seed(board: Board, seed: int) -> list[str]:
    return [c.key for c in unique_trials(board.plans).values() if c.seed == seed]


def launch(budget: Budget, board: Board) -> list[int]:
    """The seeds of all trials that are launched, asked in their order."""
    cells = unique_trials(board.plans).values()
    return [cell.seed for cell in cells if budget.admits(cell.seed, board)]


@pytest.mark.parametrize(("seconds", "num"), [(31, 1), (61, 2), (91, 3), (1_000, 3)])
def test_as_many_whole_seeds_as_fit(board: Board, seconds: float, num: int) -> None:
    whole = [seed for seed in SEEDS[:num] for _ in range(6)]
    assert launch(budget(seconds, board), board) == whole


def test_a_budget_below_one_seed_is_refused(board: Board) -> None:
    with pytest.raises(ConfigError, match=r"about 0:30, 2 trials at a time, more than"):
        budget(20.0, board).check(num_parallel_trials=2)


def test_slower_trials_leave_time_for_fewer_seeds(board: Board) -> None:
    plenty = budget(91.0, board)
    assert plenty.admits(0, board)
    for key in of_seed(board, 0)[:2]:
        board.trials[key].state, board.trials[key].seconds = "finished", 15.0
    assert plenty.admits(1, board)  # (4 + 6) x 15 s / 2 = 75 s
    assert not plenty.admits(2, board)  # (4 + 6 + 6) x 15 s / 2 = 120 s
    assert plenty.spent


def test_a_launched_seed_is_finished_whatever_it_takes(board: Board) -> None:
    plenty = budget(91.0, board)
    assert plenty.admits(0, board)
    assert plenty.admits(1, board)
    for key in of_seed(board, 0):
        board.trials[key].state, board.trials[key].seconds = "finished", 60.0
    assert not plenty.admits(2, board)
    assert plenty.admits(1, board)


def test_a_seed_that_was_refused_stays_so(board: Board) -> None:
    tight = budget(61.0, board)
    assert launch(tight, board) == [0] * 6 + [1] * 6
    for key in [*of_seed(board, 0), *of_seed(board, 1)]:
        board.trials[key].state, board.trials[key].seconds = "finished", 0.1
    assert not tight.admits(2, board)


def test_an_empty_store_is_priced_by_a_pilot(tmp_path: Path) -> None:
    plan = plan_study("layer_averaging", Request("vision", "smoke", seeds=SEEDS))
    with pytest.raises(ConfigError, match="one seed of every arm takes about"):
        Budget.of_plans(0.001, [plan], choose_stores(str(tmp_path), None))
