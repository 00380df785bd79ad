"""What trials reserve, and how many of them machines can run at once.

Trials are described by what Ray reserves for them, nodes by what they have, so the same
rules hold for this machine and for any cluster.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from d2v_core.config import TrialConfig
from d2v_core.errors import ConfigError, Problem

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
    bundle = process_bundle(execution.num_threads, execution.num_gpus)
    return [dict(bundle) for _ in range(trial.num_workers)]


def process_bundle(num_threads: int, num_gpus: float) -> Bundle:
    """What Ray reserves for one process of a trial."""
    return {"CPU": float(num_threads), "GPU": num_gpus}


def this_machine() -> Node:
    """What Ray will find here."""
    import torch

    gpus = torch.cuda.device_count()
    return Node("", "this machine", float(num_cores()), float(gpus))


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
        requirement = "must be at most 1, or whole GPUs"
        given = f"got {execution.num_gpus:g}"
        return [Problem("execution.num_gpus", f"{requirement}, {given}")]
    if execution.device == "cuda" and not execution.num_gpus:
        requirement = (
            "a trial that reserves no GPU sees none, so cuda needs a share of one"
        )
        remedy = "--set execution.num_gpus=0.5 lets two trials share one"
        return [Problem("execution.device", f"{requirement}; {remedy}")]
    if nodes and _trials_that_fit(nodes, wanted):
        return []
    most_cpus = max((node.num_cpus for node in nodes), default=0.0)
    most_gpus = max((node.num_gpus for node in nodes), default=0.0)
    needs = " + ".join(_text(bundle["CPU"], bundle["GPU"]) for bundle in wanted)
    remedies = []
    if execution.num_threads > most_cpus:
        remedies.append(f"--set execution.num_threads={max(1, int(most_cpus))}")
    if execution.num_gpus > most_gpus:
        remedies.append(f"--set execution.num_gpus={most_gpus:g}")
    together = sum(node.times(wanted[0]) for node in nodes)
    if 0 < together < len(wanted):
        remedies.append(f"--set execution.num_workers={together}")
    advice = " ".join(remedies) or "other values of execution.num_threads and num_gpus"
    has = "; ".join(sorted({_text(n.num_cpus, n.num_gpus) for n in nodes}))
    requirement = (
        f"a trial reserves {needs}, which no node can ever give (they have {has})"
    )
    return [Problem("execution", f"{requirement}; give {advice}, or add nodes")]


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
