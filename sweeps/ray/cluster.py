"""What a cluster must have before a run starts on it; nothing here starts anything."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2v_core.config import TrialConfig
from d2v_core.errors import Problem
from sweeps.plan.resources import Node
from sweeps.tracking.stores import Stores


def place_problems(nodes: Sequence[Node], stores: Stores) -> list[Problem]:
    """Places that a cluster loses or cannot share.

    Only the driver writes to the tracking store, but drivers on two machines would
    share a database file over the network, where SQLite's locks are not to be relied
    on.
    """
    problems = []
    if "runtime_resources" in stores.storage.parts:
        message = "lies where Ray deletes a job's files"
        advice = "give an absolute path on a file system that all nodes mount"
        given = f"got {str(stores.storage)!r}"
        problems.append(Problem("--storage", f"{message}; {advice}, {given}"))
    if len({node.host for node in nodes}) > 1 and stores.database is not None:
        message = (
            "on a cluster of several machines the store must be served, not a file"
        )
        words = ["mlflow", "server", "--backend-store-uri", stores.shown_uri]
        words += ["--artifacts-destination", stores.artifacts.as_uri()]
        server = shlex.join([*words, "--host", "127.0.0.1"])
        advice = f"start it where d2v runs: {server}"
        then = "and give --tracking-uri http://127.0.0.1:5000"
        problems.append(Problem("--tracking-uri", f"{message}; {advice} ; {then}"))
    return problems


@dataclass(frozen=True)
class Wanted:
    """What every node is asked to show.

    Attributes:
        token_file: Written by the driver into the storage folder.
        token: Its content.
        places: Folders of real data, and files of initial weights.
    """

    token_file: Path
    token: str
    places: tuple[str, ...]


def read_of(trial: TrialConfig) -> list[str]:
    """Folders and files that a trial reads, where they are known by whole paths."""
    data = [getattr(trial, "data", None), getattr(trial.evaluation, "data", None)]
    given = [getattr(one, name, None) for one in data for name in ("root", "folder")]
    given.append(trial.init_from)  # of timm, it is no path
    return [place for place in given if place and os.path.isabs(place)]


def look(wanted: Wanted) -> dict[str, Any]:
    """What a node sees; runs there, with the code the driver sent."""
    import sweeps.worker.trial  # noqa: F401  (a library the node lacks is found here)

    file = wanted.token_file
    seen = file.read_text() if file.exists() else ""
    return {
        "storage": seen == wanted.token,
        "writable": os.access(file.parent, os.W_OK | os.X_OK),
        "lacks": [place for place in wanted.places if not os.path.exists(place)],
    }


def node_problems(node: Node, wanted: Wanted, seen: dict[str, Any]) -> list[Problem]:
    """What a node lacks, for people."""
    storage = str(wanted.token_file.parent)
    problems = []
    if not seen["storage"]:
        message = f"node {node.host} does not see this machine's {storage!r}"
        advice = (
            "give --storage a folder that all nodes mount at the same path (NFS, say)"
        )
        problems.append(Problem("--storage", f"{message}; {advice}"))
    elif not seen["writable"]:
        message = f"node {node.host} may not write into {storage!r}"
        problems.append(
            Problem("--storage", f"{message}; run Ray as the same user there")
        )
    for place in seen["lacks"]:
        message = f"node {node.host} has no {place!r}"
        advice = "put data and initial weights at the same path on every node"
        problems.append(Problem("--data-root", f"{message}; {advice}"))
    return problems
