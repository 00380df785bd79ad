"""Hands Ray Tune trials one by one, for as long as they may be launched.

Imported only once Ray's environment is set. Given a list of its own, Tune would make
all trials beforehand and could not be told to launch no more of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from sweeps.worker.job import Job, packed


class InOrder(Searcher):
    """The jobs in their order.

    Args:
        jobs: All of them.
        may_launch: Asked about each job when a worker is about to be free; after the
            first no, none is launched any more.
    """

    def __init__(self, jobs: Sequence[Job], may_launch: Callable[[Job], bool]) -> None:
        super().__init__()
        self._waiting, self._may_launch = deque(jobs), may_launch

    @property
    def num_left(self) -> int:
        """Jobs that may still be launched."""
        return len(self._waiting)

    def suggest(self, trial_id: str) -> Any:
        """The configuration of the next trial."""
        if self._waiting and self._may_launch(self._waiting[0]):
            return packed(self._waiting.popleft())
        self._waiting.clear()
        return Searcher.FINISHED

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        """Nothing: results go through :mod:`sweeps.ray.tune_callback`."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles searchers for a restore that is never used here."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to restore: the plan says all."""
        Path(checkpoint_path).touch()
