"""What a cluster must have before a run starts on it; nothing here starts anything.

Trials are described by what Ray reserves for them, nodes by what they have, so the same
rules hold for this machine and for any cluster.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2v_core.config import TrialConfig
from d2v_core.errors import ConfigError, Problem
from sweeps.tracking.stores import Stores
from sweeps.worker.data_parallel import num_workers

Bundle = dict[str, float]
"""CPUs and GPUs that are reserved together, on one node."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, or this one.

    Attributes:
        id: Ray's name; empty for this machine before Ray runs.
        host: Its address; nodes with the same address are on one machine.
        num_cpus: What Ray may give away.
        num_gpus: Likewise.
    """

    id: str
    host: str
    num_cpus: float
    num_gpus: float

    def times(self, bundle: Bundle) -> int:
        """How many of a bundle fit at once."""
        have = {"CPU": self.num_cpus, "GPU": self.num_gpus}
        counts = [have[kind] / amount for kind, amount in bundle.items() if amount]
        return math.floor(min(counts, default=0) + 1e-9)


def bundles(trial: TrialConfig) -> list[Bundle]:
    """What Ray reserves for a trial, for each of its workers."""
    execution = trial.execution
    bundle = {"CPU": float(execution.num_threads), "GPU": execution.num_gpus}
    return [dict(bundle) for _ in range(num_workers(trial))]


def this_machine() -> Node:
    """What Ray will find here."""
    import torch

    return Node("", "this machine", float(num_cores()), torch.cuda.device_count())


def num_cores() -> int:
    """CPU cores that this process may use: affinity and container limits count."""
    import joblib

    return int(joblib.cpu_count())


def num_at_once(nodes: Sequence[Node], trials: Iterable[TrialConfig]) -> int:
    """Trials that run at the same time; of the hungriest, if they differ."""
    wanted = {_key(trial): bundles(trial) for trial in trials}
    counts = [_trials_that_fit(nodes, each) for each in wanted.values()]
    return max(1, min(counts, default=1))


def check_resources(nodes: Sequence[Node], trials: Iterable[TrialConfig]) -> None:
    """Refuse trials that could only wait for ever.

    Raises:
        ConfigError: No node has what a trial reserves, or all nodes together have not.
    """
    if problems := [p for trial in trials for p in resource_problems(nodes, trial)]:
        raise ConfigError(dict.fromkeys(problems))


def resource_problems(nodes: Sequence[Node], trial: TrialConfig) -> list[Problem]:
    """Why a trial could never start; empty: it could."""
    execution, wanted = trial.execution, bundles(trial)
    if execution.num_gpus > 1 and execution.num_gpus % 1:
        rule = "must be at most 1, or whole GPUs"
        given = f"got {execution.num_gpus:g}"
        return [Problem("execution.num_gpus", f"{rule}, {given}")]
    if execution.device == "cuda" and not execution.num_gpus:
        rule = "a trial that reserves no GPU sees none, so cuda needs a share of one"
        mend = "--set execution.num_gpus=0.5 lets two trials share one"
        return [Problem("execution.device", f"{rule}; {mend}")]
    if nodes and _trials_that_fit(nodes, wanted):
        return []
    most_cpus = max((node.num_cpus for node in nodes), default=0.0)
    most_gpus = max((node.num_gpus for node in nodes), default=0.0)
    needs = " + ".join(_text(bundle["CPU"], bundle["GPU"]) for bundle in wanted)
    mends = []
    if execution.num_threads > most_cpus:
        mends.append(f"--set execution.num_threads={max(1, int(most_cpus))}")
    if execution.num_gpus > most_gpus:
        mends.append(f"--set execution.num_gpus={most_gpus:g}")
    together = sum(node.times(wanted[0]) for node in nodes)
    if 0 < together < len(wanted):
        mends.append(f"--set execution.num_workers={together}")
    advice = " ".join(mends) or "other values of execution.num_threads and num_gpus"
    has = "; ".join(sorted({_text(n.num_cpus, n.num_gpus) for n in nodes}))
    rule = f"a trial reserves {needs}, which no node can ever give (they have {has})"
    return [Problem("execution", f"{rule}; give {advice}, or add nodes")]


def _trials_that_fit(nodes: Sequence[Node], wanted: Sequence[Bundle]) -> int:
    """An upper bound that is exact for trials of one bundle."""
    if not all(any(node.times(bundle) for node in nodes) for bundle in wanted):
        return 0
    total = {
        kind: sum(bundle[kind] for bundle in wanted) / len(wanted)
        for kind in ("CPU", "GPU")
    }
    return sum(node.times(total) for node in nodes) // len(wanted)


def _text(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU and {gpus:g} GPU"


def _key(trial: TrialConfig) -> str:
    return f"{trial.execution.device} {bundles(trial)}"


def place_problems(nodes: Sequence[Node], stores: Stores) -> list[Problem]:
    """Places that a cluster loses or cannot share.

    Only the driver writes to the tracking store, but drivers on two machines would
    share a database file over the network, where SQLite's locks are not to be relied
    on.
    """
    problems = []
    if "runtime_resources" in stores.storage.parts:
        rule = "lies where Ray deletes a job's files"
        mend = "give an absolute path on a file system that all nodes mount"
        given = f"got {str(stores.storage)!r}"
        problems.append(Problem("--storage", f"{rule}; {mend}, {given}"))
    if len({node.host for node in nodes}) > 1 and stores.database is not None:
        rule = "on a cluster of several machines the store must be served, not a file"
        server = (
            f"mlflow server --backend-store-uri {stores.tracking_uri} "
            f"--artifacts-destination {stores.artifacts.as_uri()} --host 127.0.0.1"
        )
        mend = f"start it where d2v runs: {server}"
        then = "and give --tracking-uri http://127.0.0.1:5000"
        problems.append(Problem("--tracking-uri", f"{rule}; {mend} ; {then}"))
    return problems


@dataclass(frozen=True)
class Wanted:
    """What every node is asked to show.

    Attributes:
        token_file: Written by the driver into the storage folder.
        token: Its content.
        data_roots: Folders of real data.
    """

    token_file: Path
    token: str
    data_roots: tuple[str, ...]


def look(wanted: Wanted) -> dict[str, Any]:
    """What a node sees; runs there, with the code the driver sent."""
    import sweeps.worker.trial  # noqa: F401  (a library the node lacks is found here)

    file = wanted.token_file
    seen = file.read_text() if file.exists() else ""
    return {
        "storage": seen == wanted.token,
        "writable": os.access(file.parent, os.W_OK | os.X_OK),
        "lacks": [root for root in wanted.data_roots if not os.path.isdir(root)],
    }


def node_problems(node: Node, wanted: Wanted, seen: dict[str, Any]) -> list[Problem]:
    """What a node lacks, for people."""
    storage = str(wanted.token_file.parent)
    problems = []
    if not seen["storage"]:
        rule = f"node {node.host} does not see this machine's {storage!r}"
        mend = (
            "give --storage a folder that all nodes mount at the same path (NFS, say)"
        )
        problems.append(Problem("--storage", f"{rule}; {mend}"))
    elif not seen["writable"]:
        rule = f"node {node.host} may not write into {storage!r}"
        problems.append(Problem("--storage", f"{rule}; run Ray as the same user there"))
    for root in seen["lacks"]:
        rule = f"node {node.host} has no folder {root!r}"
        mend = "put the data at the same path on every node"
        problems.append(Problem("--data-root", f"{rule}; {mend}"))
    return problems
