"""Names of Ray that are not public: each stands here once, and may be gone tomorrow.

A function here looks its name up when it is needed and does without where it is gone;
what is lost then is one line for people, said once in a run. Ray reads its environment
when it is imported, so this module is imported before it and imports it late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

Say = Callable[[str], None]
"""Tells people a line; the same line twice is one."""

ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Named after the systems where it is the default: Ray's node address is 127.0.0.1, and
GCS, raylet and workers then bind to it alone."""
NO_IDLE_WORKERS = {"RAY_prestart_worker_first_driver": "0"}
"""Ray starts a process for each core with itself; those of trials are others, so these
would only slow the start down."""
NO_GPU_UNLESS_RESERVED = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The environment variable in which ``ray job submit`` leaves what the job brings."""
ACTOR_MANAGER = "ray.air.execution._internal.actor_manager:RayActorManager"
FAILURE_HANDLERS = ("_actor_task_failed", "_actor_start_failed")
"""Methods of Ray Tune that hear of an actor's error; public callbacks come too late."""
ACTOR = "temporary_state.ray_actor"
RESTARTS = "max_failures"
ERROR_FILE = "pickled_error_file"
"""Attributes of Tune's ``Trial``, which is public without them."""
BACKEND = "backend_cls"
"""The property of Ray Train's ``TorchConfig`` that says who forms torch's group."""
NODE = "ray._private.worker:_global_node"
KILL = "_kill_process_type"
"""Ray's processes here, and the method by which ``ray.shutdown`` ends one of them."""
ASKED = "gcs_server"
LOOPBACK = "127.0.0.1"


def lost(what: str) -> str:
    """The line for people about a name that is gone."""
    return f"Ray {metadata.version('ray')} has changed inside: {what}"


def expect_loopback(addresses: Iterable[str], say: Say) -> None:
    """Say so if a Ray that was started here can be reached from other machines."""
    if beyond := sorted(set(addresses) - {LOOPBACK}):
        places = ", ".join(beyond)
        say(lost(f"it listens beyond loopback, on {places}; its token is still asked"))


def end_without_waiting(say: Say) -> None:
    """Let ``ray.shutdown`` kill Ray's processes here instead of asking them first.

    They do not hear SIGTERM (:mod:`sweeps.ray.session`), so the second that Ray would
    wait for each of them is spent in vain: four in every run. The one before GCS ends
    stays: agents tell it that their raylet is gone, and without it try for a minute.
    """
    try:
        node: Any = resolve_name(NODE)
        kill = getattr(node, KILL)
    except (ImportError, AttributeError):
        say(lost("it takes some seconds longer to end"))
        return

    def at_once(kind: str, **how: Any) -> None:
        kill(kind, **{**how, "allow_graceful": kind == ASKED})

    setattr(node, KILL, at_once)


@contextmanager
def translated_failures(translate: Callable[[Any], Any], say: Say) -> Iterator[None]:
    """Change what Ray Tune is told of failed actors while the context is open.

    Args:
        translate: Gets every argument of Tune's handlers, errors among others.
        say: Hears it if that cannot be done.
    """
    try:
        manager: Any = resolve_name(ACTOR_MANAGER)
        before = {name: getattr(manager, name) for name in FAILURE_HANDLERS}
    except (ImportError, AttributeError):
        say(lost("a process that it ends for lack of memory ends the whole run"))
        yield
        return

    def around(handle: Any) -> Any:
        def failed(*arguments: Any, **named: Any) -> None:
            changed = {name: translate(value) for name, value in named.items()}
            handle(*map(translate, arguments), **changed)

        return failed

    for name, handle in before.items():
        setattr(manager, name, around(handle))
    try:
        yield
    finally:
        for name, handle in before.items():
            setattr(manager, name, handle)


def can_end_worker(trial: Any, say: Say) -> bool:
    """Whether :func:`end_worker` would find the process of one of Tune's trials."""
    try:
        attrgetter(ACTOR)(trial)
    except AttributeError:
        say(lost("a process that stops showing that it runs is waited for, not ended"))
        return False
    return True


def end_worker(trial: Any) -> None:
    """End the process of one of Tune's trials; it need not be able to answer."""
    import ray

    actor = attrgetter(ACTOR)(trial)
    if actor is not None:  # else it is being started again already
        ray.kill(actor)


def grant_restart(trial: Any, say: Say) -> None:
    """Let one of Tune's trials be started once more than it would be."""
    if hasattr(trial, RESTARTS):
        setattr(trial, RESTARTS, getattr(trial, RESTARTS) + 1)
    else:
        say(lost("a trial whose node is lost has a restart less"))


def last_error(trial: Any, say: Say) -> Exception | None:
    """Why the process of one of Tune's trials died, if it is known.

    ``Trial.get_pickled_error``, which is public, looks in Tune's storage, where the
    file comes only later.
    """
    from ray import cloudpickle

    if not hasattr(trial, ERROR_FILE):
        say(lost("a process ended for lack of memory looks like one that was killed"))
        return None
    file = getattr(trial, ERROR_FILE)
    if file is None or not Path(file).exists():
        return None
    error: Exception = cloudpickle.loads(Path(file).read_bytes())
    return error


def meeting_left_to_workers(torch_config: type[Any]) -> type[Any]:
    """Ray Train's configuration for torch, with workers that form their group alone.

    Unchanged where the name is gone: the workers then find that their group is there
    (:func:`sweeps.worker.loopback_group.join`).
    """
    backend = getattr(torch_config(), BACKEND, None)
    if backend is None:
        return torch_config

    def on_start(self: Any, worker_group: Any, backend_config: Any) -> None:
        """Nothing; the group is ended as Ray Train does."""

    no_meeting = type("NoMeeting", (backend,), {"on_start": on_start})
    members = {BACKEND: property(lambda self: no_meeting)}
    return type("LoopbackConfig", (torch_config,), members)
