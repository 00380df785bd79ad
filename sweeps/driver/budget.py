"""``--budget 2h``: launch seed by seed, and no seed that would not be done in time.

A seed is launched with all its arms or not at all, so that what a budget leaves is a
balanced table with fewer seeds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from d2v_core.errors import ConfigError, Problem
from sweeps.driver.progress import Board
from sweeps.plan.durations import duration
from sweeps.planned import PlannedCell, StudyPlan
from sweeps.tracking.stores import Stores


class BudgetTooSmallError(ConfigError):
    """Not even one seed of every arm would be done in time."""


class Budget:
    """Decides which seeds may be launched.

    Args:
        seconds: From now.
        prices: Expected seconds of every missing trial, by key.
        unique: All trials, by key.
    """

    def __init__(
        self,
        seconds: float,
        prices: Mapping[str, float],
        unique: Mapping[str, PlannedCell],
    ) -> None:
        self.seconds, self._prices = seconds, prices
        self._seeds = {key: unique[key].seed for key in prices}
        self._launched: set[int] = set()
        self._closed = False
        self._began = time.monotonic()

    @classmethod
    def of_plans(
        cls, seconds: float, plans: Sequence[StudyPlan], stores: Stores
    ) -> Budget:
        """Price what is missing, as ``d2v plan`` does.

        Raises:
            ConfigError: Something cannot be priced, or not even one seed of every arm
                would be done in time.
        """
        from sweeps.plan.forecast import forecast  # which imports MLflow

        result = forecast(plans, stores)
        budget = cls(seconds, result.seconds, result.unique)
        if unknown := [key for key in result.missing if key not in result.seconds]:
            arms = ", ".join(sorted({result.unique[key].arm.label for key in unknown}))
            requirement = f"nothing is known of how long these arms take here: {arms}"
            remedy = "run one seed without --budget first (--seeds 1)"
            raise ConfigError([Problem("--budget", f"{requirement}; {remedy}")])
        if result.missing:
            budget.check(result.num_parallel_trials)
        return budget

    def check(self, num_parallel_trials: int) -> None:
        """Refuse a budget that not even one seed of every arm fits in.

        Raises:
            BudgetTooSmallError: It does not.
        """
        seeds = self._seeds
        first = min(seeds.values())
        needed = sum(p for k, p in self._prices.items() if seeds[k] == first)
        needed /= num_parallel_trials
        if needed > self.seconds:
            requirement = (
                f"one seed of every arm takes about {duration(needed)}, "
                f"{num_parallel_trials} trials at a time, more than "
                f"{duration(self.seconds)}"
            )
            remedy = "give more time, or fewer arms (--arm)"
            problem = Problem("--budget", f"{requirement}; {remedy}")
            raise BudgetTooSmallError([problem])

    @property
    def spent(self) -> bool:
        """Whether nothing more is launched."""
        return self._closed or self._left() <= 0

    def admits(self, seed: int, board: Board) -> bool:
        """Whether a trial of this seed may be launched.

        A seed is admitted if it will be done in time, and then as a whole; the first is
        always. Once one was not, no other is.
        """
        if seed not in self._launched and not self._closed:
            late = self._launched and self._needed(seed, board) > self._left()
            self._closed = bool(late)
            if not late:
                self._launched.add(seed)
        return seed in self._launched

    def _left(self) -> float:
        return self.seconds - (time.monotonic() - self._began)

    def _needed(self, seed: int, board: Board) -> float:
        """Seconds until the launched seeds and this one would be done."""
        seeds = {*self._launched, seed}
        keys = [key for key, other in self._seeds.items() if other in seeds]
        work = sum(self._rest(board, key) for key in keys)
        return work * self._correction(board) / board.num_parallel_trials

    def _rest(self, board: Board, key: str) -> float:
        trial = board.trials[key]
        if trial.state == "waiting":
            return self._prices[key]
        if trial.state != "running":
            return 0.0
        return self._prices[key] * (1.0 - trial.step / max(1, trial.num_steps))

    def _correction(self, board: Board) -> float:
        """How much longer trials take here than was expected."""
        ended = [key for key in self._prices if board.trials[key].seconds > 0]
        expected = sum(self._prices[key] for key in ended)
        measured = sum(board.trials[key].seconds for key in ended)
        return measured / expected if expected > 0 else 1.0
