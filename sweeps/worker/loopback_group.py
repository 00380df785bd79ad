"""The workers of one machine meet through a file and talk on loopback.

Ray Train lets them meet through torch's TCPStore, which listens on every address of the
machine and lets everybody in. Between machines it stays that way.

Imported only once Ray's environment is set (:mod:`sweeps.ray.session`).
"""

from __future__ import annotations

import os
from datetime import timedelta

import ray
import torch.distributed as dist
from ray import train

from sweeps.ray.compat import LOOPBACK, Say, lost

ON_LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}


def is_alone() -> bool:
    """Whether Ray runs on this machine only, for nobody else to reach."""
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address == LOOPBACK


def join(file: str, say: Say, *, seconds: float, gpu: bool) -> None:
    """Form torch's process group with the other workers.

    Args:
        file: Does not exist yet; the same for all.
        say: Hears it if Ray Train has formed the group already.
        seconds: Timeout of the collectives.
        gpu: Whether each worker has one.
    """
    if dist.is_initialized():
        say(lost("a trial's processes meet on a port open to other machines"))
        return
    os.environ.update(ON_LOOPBACK)
    context = train.get_context()
    dist.init_process_group(
        "nccl" if gpu else "gloo",
        init_method=f"file://{file}",
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        timeout=timedelta(seconds=seconds),
    )
