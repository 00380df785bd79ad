"""Workers that load their libraries while the driver still reads and checks.

Ray starts as many processes as there are CPUs when the driver connects, and loads into
them what it is told to. Ray Tune 2.60 would never use one: it asks for processes with
an environment variable of its own (``ray/tune/execution/class_cache.py``), which all
processes have here anyway.

Only for a machine that is about to be filled with trials of one CPU each: elsewhere
most of the processes would load 200 MB for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from d2v_core.config import TrialConfig
from sweeps.ray.cluster import bundles, num_cores

COLD = {"RAY_prestart_worker_first_driver": "0", "RAY_preload_python_modules": ""}
WARM = {
    "RAY_prestart_worker_first_driver": "1",
    "RAY_preload_python_modules": "torch,ray.tune",
    "PL_DISABLE_FORK": "1",
}
ONE_THREAD = ("OMP_NUM_THREADS", "1")
"""Unless the user says otherwise. Ray sets it when a process gets its trial, which is
too late for libraries that are loaded already."""


def fills_machine(trials: Collection[TrialConfig]) -> bool:
    """Whether each CPU of this machine is about to get a trial."""
    if len(trials) < num_cores():
        return False
    return all(bundles(trial) == [{"CPU": 1.0, "GPU": 0.0}] for trial in trials)


@contextmanager
def usable_by_tune() -> Iterator[None]:
    """Let Ray Tune take the waiting workers while the context is open."""
    from ray.tune.execution import class_cache

    before = dict(class_cache.DEFAULT_ENV_VARS)
    class_cache.DEFAULT_ENV_VARS.clear()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS.update(before)
