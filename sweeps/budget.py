"""``--budget 2h``: launch seed by seed, and no seed that would not be done in time.

A seed is launched with all its arms or not at all, so that what a budget leaves is a
balanced table with fewer seeds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from ablations.record import Record, Status
from d2v_core.errors import ConfigError, Problem
from sweeps.forecast import forecast
from sweeps.listener import Listener
from sweeps.planning import PlannedCell, StudyPlan
from sweeps.progress import Board, duration
from sweeps.stopping import StopRequest
from sweeps.stores import Stores

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}


def parse_budget(text: str) -> float:
    """Seconds of ``2h``, ``1h30m``, ``90m``, ``45s`` or ``1d``.

    Raises:
        ConfigError: It is not such a duration, or zero.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        rule = "must be a duration such as 2h, 1h30m, 90m or 45s"
        raise ConfigError([Problem("--budget", f"{rule}, got {text!r}")])
    return seconds


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
        result = forecast(plans, stores)
        budget = cls(seconds, result.seconds, result.unique)
        if unknown := [key for key in result.missing if key not in result.seconds]:
            arms = ", ".join(sorted({result.unique[key].arm.label for key in unknown}))
            rule = f"nothing is known of how long these arms take here: {arms}"
            mend = "run one seed without --budget first (--seeds 1)"
            raise ConfigError([Problem("--budget", f"{rule}; {mend}")])
        if result.missing:
            budget.check(result.num_workers)
        return budget

    def check(self, num_workers: int) -> None:
        """Refuse a budget that not even one seed of every arm fits in.

        Raises:
            ConfigError: It does not.
        """
        seeds = self._seeds
        first = min(seeds.values())
        needed = sum(p for k, p in self._prices.items() if seeds[k] == first)
        needed /= num_workers
        if needed > self.seconds:
            rule = (
                f"one seed of every arm takes about {duration(needed)} on "
                f"{num_workers} workers, more than {duration(self.seconds)}"
            )
            mend = "give more time, or fewer arms (a study file of yours)"
            raise ConfigError([Problem("--budget", f"{rule}; {mend}")])

    @property
    def over(self) -> bool:
        """Whether the time has passed."""
        return time.monotonic() - self._began > self.seconds

    def last_seed(self, board: Board) -> int | None:
        """The last seed that will be done in time, or was launched already."""
        left = self.seconds - (time.monotonic() - self._began)
        correction, needed, last = self._correction(board), 0.0, None
        for seed in sorted(set(self._seeds.values())):
            keys = [key for key, other in self._seeds.items() if other == seed]
            needed += sum(self._rest(board, key) for key in keys) * correction
            launched = any(board.trials[key].state != "waiting" for key in keys)
            too_long = needed / board.num_workers > left
            if too_long and not launched and last is not None:
                return last
            last = seed
        return last

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


class BudgetGate(Listener):
    """Lets the workers know, whenever a trial ends, the last seed to be launched.

    Args:
        budget: Decides.
        board: State of the trials, already told what is heard here.
        stop: Of the run.
    """

    def __init__(self, budget: Budget, board: Board, stop: StopRequest) -> None:
        self._budget, self._board, self._stop = budget, board, stop
        self._last: int | None = None

    def set(self) -> None:
        """Close the gate after the last seed that will be done in time."""
        last = self._budget.last_seed(self._board)
        if last is not None and last != self._last:
            self._stop.close_after(last)
            self._last = last

    def trial_ended(self, record: Record, timestamp: int) -> None:
        """See :class:`sweeps.listener.Listener`."""
        self.set()

    def trial_lost(self, key: str, status: Status, reason: str) -> None:
        """See :class:`sweeps.listener.Listener`."""
        self.set()
