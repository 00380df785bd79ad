"""``d2v doctor``: what this machine has, and what runs of each scale use of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table

from d2v_cli import options as o

if TYPE_CHECKING:
    from sweeps.plan.resources import Node
    from sweeps.tracking.stores import Stores

SCALES = ("smoke", "laptop", "gpu", "paper")
UI_PORT = 5000
LOW_MEMORY = 4 * 2**30
LOW_DISK = 5 * 2**30
"""Less than that is worth a word: the driver and two trials need about 4 GiB."""


class Finding(NamedTuple):
    """One line: what was looked at, what it is, and what to do, if anything."""

    what: str
    found: str
    advice: str = ""


def doctor(
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
    data_root: o.DataRoot = None,
    as_json: o.AsJson = False,
) -> None:
    """Say what is here: cores, memory, GPUs, torch, data, store, and how runs use it.

    Nothing is started, trained or written.
    """
    from sweeps.plan.resources import this_machine
    from sweeps.tracking.stores import choose_stores

    stores, node = choose_stores(storage, tracking_uri), this_machine()
    findings = [
        *_software(),
        *_machine(node),
        *_places(stores, data_root),
    ]
    scales = list(_scales(node))
    if as_json:
        o.print_json(
            {
                "findings": [each._asdict() for each in findings],
                "scales": [dict(zip(HEAD, row, strict=True)) for row in scales],
            }
        )
        return
    console = Console()
    for finding in findings:
        line = f"{finding.what:<10} {finding.found}"
        console.print(line, markup=False, soft_wrap=True, highlight=False)
        if finding.advice:
            advice = f"{'':<10} {finding.advice}"
            console.print(advice, style="yellow", markup=False, soft_wrap=True)
    table = Table(*HEAD)
    for row in scales:
        table.add_row(*row)
    console.print(table)


HEAD = ("scale", "a trial takes", "at once here", "data")


def _software() -> Iterator[Finding]:
    import platform
    from importlib.metadata import version

    import torch

    names = ("d2v-ablation-lab", "ray", "mlflow", "optuna", "timm")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    yield Finding("versions", f"Python {platform.python_version()}, {versions}")
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
    yield Finding("torch", f"{torch.__version__}, built for {built}")


def _machine(node: Node) -> Iterator[Finding]:
    import os

    import torch

    from sweeps.plan.costing import people_bytes

    cores, all_cores = int(node.num_cpus), os.cpu_count() or 1
    yield Finding("cores", f"{cores} of {all_cores} may be used")
    if memory := _free_memory():
        low = (
            "close other programs: trials may be killed" if memory < LOW_MEMORY else ""
        )
        yield Finding("memory", f"{people_bytes(memory)} free", low)
    for i in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(i)
        size = people_bytes(about.total_memory)
        share = (
            "--gpu-share 0.25 lets four trials run on it; --scale gpu is made for it"
        )
        yield Finding("GPU", f"{about.name}, {size}", share)
    if not torch.cuda.device_count():
        yield Finding("GPU", "none that torch sees")


def _places(stores: Stores, data_root: str | None) -> Iterator[Finding]:
    import os
    import shutil
    import socket

    from sweeps.plan.costing import people_bytes

    if data_root is None:
        advice = "embedded data works without; --data-root or D2V_DATA names a folder"
        yield Finding("data", "no folder is named", advice)
    elif os.path.isdir(data_root):
        inside = sorted(entry.name for entry in os.scandir(data_root))
        some = ", ".join(inside[:8]) + (" …" if len(inside) > 8 else "")
        yield Finding("data", f"{data_root}: {some or 'empty'}")
    else:
        yield Finding("data", f"{data_root} is no folder", "give another --data-root")
    folder = stores.storage
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    low = "a laptop study needs a few GiB" if free < LOW_DISK else ""
    if not os.access(folder, os.W_OK):
        low = "it cannot be written; give another --storage"
    state = "" if stores.storage.exists() else ", made by the first run"
    yield Finding("storage", f"{stores.storage}{state}, {people_bytes(free)} free", low)
    yield Finding("store", _store(stores))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", UI_PORT))
            yield Finding("port", f"{UI_PORT} is free for d2v ui")
        except OSError:
            taken = f"{UI_PORT} is taken"
            yield Finding("port", taken, "d2v ui --port 5001 takes another")


def _store(stores: Stores) -> str:
    from sweeps.tracking.stores import answers

    if stores.is_new:
        return f"{stores.shown_uri}: new"
    state = "" if answers(stores.tracking_uri) else " does not answer"
    return f"{stores.shown_uri}{state}"


def _scales(node: Node) -> Iterator[tuple[str, str, str, str]]:
    """A row for each scale, of its recipe for vision."""
    from ablations.layers import Layer, resolve
    from ablations.library import read_recipe
    from sweeps.plan.resources import num_at_once, resource_problems

    for scale in SCALES:
        trial = resolve("vision", [Layer.from_yaml(read_recipe(f"vision-{scale}"))])
        execution = trial.execution
        cores = execution.num_threads
        takes = "1 core" if cores == 1 else f"{cores} cores"
        if execution.num_gpus:
            takes += f", {execution.num_gpus:g} GPU"
        fits = not resource_problems([node], trial)
        at_once = str(num_at_once([node], [trial])) if fits else "none: too little here"
        source: str = trial.data.source  # type: ignore[attr-defined]
        yield scale, takes, at_once, source


def _free_memory() -> int:
    """Bytes a program can still have; 0: the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
