"""Ray Tune keeps nothing of a trial that is over.

It would keep all of them, with every actor that was planned and not needed, for
restores and tables of results, which the tracking store serves here; and look through
them at every step. Imported only once Ray's environment is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.execution.tune_controller import TuneController


@contextmanager
def trials_forgotten() -> Iterator[None]:
    """Let Ray Tune 2.60 forget trials without an error while the context is open."""
    remove_actor: Any = RayActorManager.remove_actor
    step: Any = TuneController.step

    def step_and_forget(self: Any) -> None:
        step(self)
        forget_ended(self)

    def remove_with_tasks(
        self: Any, tracked_actor: Any, *rest: Any, **named: Any
    ) -> Any:
        self._pending_actors_to_enqueued_actor_tasks.pop(tracked_actor, None)
        return remove_actor(self, tracked_actor, *rest, **named)

    setattr(TuneController, "step", step_and_forget)  # noqa: B010
    setattr(RayActorManager, "remove_actor", remove_with_tasks)  # noqa: B010
    try:
        yield
    finally:
        setattr(TuneController, "step", step)  # noqa: B010
        setattr(RayActorManager, "remove_actor", remove_actor)  # noqa: B010


def forget_ended(controller: Any) -> None:
    """Drop the trials that have ended and let go of their worker."""
    stopped = controller._stopped_trials
    for trial in stopped.difference(controller._trial_to_actor):
        stopped.remove(trial)
        controller._trials.remove(trial)
        controller._trials_to_cache.discard(trial)
