"""The workers of one machine meet through a file and talk on loopback.

Ray Train lets them meet through torch's TCPStore, which listens on every address of the
machine and lets everybody in. Between machines it stays that way.

Imported only once Ray's environment is set (:mod:`sweeps.ray.session`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ray
import torch.distributed as dist
from ray import train
from ray.train.torch import TorchConfig

ON_LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}


class NoMeeting(TorchConfig().backend_cls):  # type: ignore[misc]
    """Leaves it to :func:`join` to form the group; ends it as Ray Train does."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Nothing."""


@dataclass
class LoopbackConfig(TorchConfig):
    """Workers that call :func:`join` themselves."""

    @property
    def backend_cls(self) -> type[NoMeeting]:
        """Without the TCPStore."""
        return NoMeeting


def is_alone() -> bool:
    """Whether Ray runs on this machine only, for nobody else to reach."""
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address == "127.0.0.1"


def join(file: str, *, seconds: float, gpu: bool) -> None:
    """Form torch's process group with the other workers.

    Args:
        file: Does not exist yet; the same for all.
        seconds: Timeout of the collectives.
        gpu: Whether each worker has one.
    """
    os.environ.update(ON_LOOPBACK)
    context = train.get_context()
    dist.init_process_group(
        "nccl" if gpu else "gloo",
        init_method=f"file://{file}",
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        timeout=timedelta(seconds=seconds),
    )
