"""A trial is not to blame for the death of its node.

Ray's error does not tell a dead node from a dead process (the connection is gone either
way), and the cluster notices a node's death only seconds later. So a failure stays open
for a minute: if a node is found dead in that time, the restart is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

MAX_NODE_LOSSES = 20
"""Restarts of a trial that are not counted; after them they are."""
OPEN_SECONDS = 60.0
"""Ray's head needs about 15 s to declare a node dead."""


class NodeLosses:
    """Gives restarts back to trials that failed while a node was lost.

    Args:
        num_dead: Counts the nodes the cluster has lost so far.
        grant: Gives one of Tune's trials one more restart.
    """

    def __init__(
        self, num_dead: Callable[[], int], grant: Callable[[Any], None]
    ) -> None:
        self._num_dead, self._grant = num_dead, grant
        self._known = num_dead()
        self._open: list[tuple[float, Any]] = []
        self._given: dict[str, int] = {}

    def trial_failed(self, trial: Any) -> None:
        """One of Tune's trials is started again."""
        self._open.append((time.monotonic(), trial))

    def look(self) -> None:
        """Settle what is open; costs nothing while nothing is."""
        if not self._open:
            return
        dead = self._num_dead()
        if dead > self._known:
            self._known = dead
            for _, trial in self._open:
                self._forgive(trial)
            self._open.clear()
        since = time.monotonic() - OPEN_SECONDS
        self._open = [(at, trial) for at, trial in self._open if at > since]

    def _forgive(self, trial: Any) -> None:
        given = self._given.get(trial.trial_id, 0)
        if given < MAX_NODE_LOSSES:
            self._given[trial.trial_id] = given + 1
            self._grant(trial)


def num_dead_nodes() -> int:
    """Count those of the cluster that Ray has joined."""
    import ray

    return sum(not node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
