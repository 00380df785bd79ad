"""From a number to its runs: MLflow pages, and the command that trains it again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ablations.record import Manifest, ManifestArm

UI_ADDRESS = "http://127.0.0.1:5000"
"""Address of ``d2v ui``, unless it was given another port."""

PLAIN = re.compile(r"[A-Za-z/_][A-Za-z0-9/_.-]*")
"""Text that is text in YAML too, but for a few words."""
YAML_WORDS = {
    word
    for lower in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
    for word in (lower, lower.title(), lower.upper())
}


def run_address(tracking_uri: str, experiment_id: str, run_id: str) -> str | None:
    """The page of a run in MLflow; None without a run; see :func:`web_address`."""
    if not run_id:
        return None
    return web_address(tracking_uri, f"/experiments/{experiment_id}/runs/{run_id}")


def is_served(tracking_uri: str) -> bool:
    """Whether a store has a web address of its own."""
    return urlsplit(tracking_uri).scheme in ("http", "https")


def web_address(tracking_uri: str, fragment: str) -> str:
    """A page of MLflow's; of a store that is a file, where ``d2v ui`` serves it.

    A user name and password in the address are left out.
    """
    parts = urlsplit(tracking_uri if is_served(tracking_uri) else UI_ADDRESS)
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/") + "/"
    return urlunsplit((parts.scheme, host, path, "", fragment))


def train_command(manifest: Manifest, arm: ManifestArm, seed: int) -> str:
    """Trains one trial again, in one process and without a store.

    The study's settings, then ``--set``, then the arm's, as the plan merges them.
    """
    given = {**(manifest.study.get("set") or {}), **arm.settings}
    settings = {path: as_yaml(value) for path, value in given.items()}
    for assignment in manifest.assignments:
        path, _, text = assignment.partition("=")
        if path.strip() not in arm.settings:
            settings[path.strip()] = text  # as it was typed; nothing here reads YAML
    words = ["d2v", "train", f"{manifest.modality}-{manifest.scale}"]
    words += ["--seed", str(seed)]
    if root := _data_root(manifest.base):
        words += ["--data-root", root]
    for path, value in settings.items():
        words += ["--set", f"{path}={value}"]
    return shlex.join(words)


def report_command(manifest: Manifest) -> str:
    """Rebuilds the report of a request from the tracking store."""
    words = ["d2v", "report", manifest.study["name"]]
    words += ["--modality", manifest.modality, "--scale", manifest.scale]
    for assignment in manifest.assignments:
        words += ["--set", assignment]
    return shlex.join(words)


def as_yaml(value: Any) -> str:
    """A setting that YAML reads back as itself; plain words stand without quotes."""
    if isinstance(value, str) and PLAIN.fullmatch(value) and value not in YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def _data_root(base: Mapping[str, Any]) -> str | None:
    root = base.get("data", {}).get("root")
    return str(root) if root else None
