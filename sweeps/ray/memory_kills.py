"""A worker that Ray ends for lack of memory is one that died, not the end of the run.

Ray's memory monitor kills a process before the machine is full. Its error is of no kind
that Ray Tune 2.60 knows (``ray/air/execution/_internal/actor_manager.py`` 271-292): one
such worker would end the whole run with a traceback. Imported only once Ray's
environment is set.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ray.exceptions import OutOfMemoryError, RayActorError

from sweeps.ray.compat import Say, translated_failures


class LowMemoryError(RayActorError):
    """Ray's memory monitor has ended the actor's process.

    Args:
        message: Ray's, many lines.
    """

    def __init__(self, message: str) -> None:
        super().__init__(error_msg=message)


def as_deaths(say: Say) -> AbstractContextManager[None]:
    """Let Ray Tune take them for the deaths of actors while the context is open."""
    return translated_failures(_death, say)


def _death(argument: Any) -> Any:
    if isinstance(argument, OutOfMemoryError):
        return LowMemoryError(str(argument))
    return argument
