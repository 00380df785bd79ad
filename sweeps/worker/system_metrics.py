"""What a trial takes of the machine, where MLflow shows system metrics.

MLflow's own monitor writes from a thread of its own to the store, past the one writer
that survives outages; these numbers travel with a trial's progress instead.
"""

from __future__ import annotations

import resource
import sys
import time

import torch

PREFIX = "system/"
"""MLflow shows metrics that begin so on a tab of their own."""
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which the system counts a process's peak memory."""


class SystemMetrics:
    """Reads what this process has used since the last reading."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Percent of one core, the peak of memory in MiB, a GPU's if there is one."""
        wall, cpu = time.perf_counter(), time.process_time()
        share = (cpu - self._cpu) / max(wall - self._wall, 1e-9)
        self._wall, self._cpu = wall, cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
        values = {
            "process_cpu_utilization_percentage": 100.0 * share,
            "process_peak_memory_megabytes": peak / 2**20,
        }
        if torch.cuda.is_available():
            taken = torch.cuda.max_memory_allocated() / 2**20
            values["gpu_peak_memory_usage_megabytes"] = taken
        return {f"{PREFIX}{name}": value for name, value in values.items()}
