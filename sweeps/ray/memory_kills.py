"""A worker that Ray ends for lack of memory is one that died, not the end of the run.

Ray's memory monitor kills a process before the machine is full. Its error is of no kind
that Ray Tune 2.60 knows (``ray/air/execution/_internal/actor_manager.py`` 271-292): one
such worker would end the whole run with a traceback. Imported only once Ray's
environment is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError


class LowMemoryError(RayActorError):
    """Ray's memory monitor has ended the actor's process.

    Args:
        message: Ray's, many lines.
    """

    def __init__(self, message: str) -> None:
        super().__init__(error_msg=message)


@contextmanager
def as_deaths() -> Iterator[None]:
    """Let Ray Tune take them for the deaths of actors while the context is open."""
    names = ("_actor_task_failed", "_actor_start_failed")
    before = {name: getattr(RayActorManager, name) for name in names}
    for name, handle in before.items():
        setattr(RayActorManager, name, _told_apart(handle))
    try:
        yield
    finally:
        for name, handle in before.items():
            setattr(RayActorManager, name, handle)


def _told_apart(handle: Any) -> Any:
    def failed(*arguments: Any, **named: Any) -> None:
        handle(*map(_death, arguments), **{k: _death(v) for k, v in named.items()})

    return failed


def _death(argument: Any) -> Any:
    if isinstance(argument, OutOfMemoryError):
        return LowMemoryError(str(argument))
    return argument
