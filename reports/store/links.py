"""From a number to its runs: MLflow pages, and the command that trains it again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ablations.layers import parse_assignments
from ablations.record import Manifest, ManifestArm
from ablations.yaml_source import parse_value
from d2v_core.config import TRIAL_TYPES
from d2v_core.config.base import TAGS
from d2v_core.config.parsing import known_settings
from d2v_core.errors import ConfigError

PLACE = re.compile(r"--(?:storage|tracking-uri)[ =](?:'[^']*'|\"[^\"]*\"|[^\s'\"])+")
CLASSIC = "workflowType=machine_learning"
"""In a page's address: MLflow's pages for trainings. Without it MLflow 3 shows what the
browser saw last, at first those for language model applications."""
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
    """The page of a run, see :func:`web_address`; None without a run or a store."""
    if not run_id or not tracking_uri:
        return None
    page = f"/experiments/{experiment_id}/runs/{run_id}?{CLASSIC}"
    return web_address(tracking_uri, page)


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
    settings: dict[str, Any] = dict(manifest.study.get("set") or {})
    for assignment in manifest.assignments:
        settings |= parse_assignments([assignment], manifest.modality)
    settings = _overridden(settings, arm.settings, manifest.modality)
    recipe = manifest.recipe or f"{manifest.modality}-{manifest.scale}"
    words = ["d2v", "train", recipe]
    words += ["--seed", str(seed)]
    if root := _data_root(manifest.base):
        words += ["--data-root", root]
    for path, value in settings.items():
        words += ["--set", f"{path}={as_yaml(value)}"]
    return shlex.join(words)


def _overridden(
    settings: Mapping[str, Any], later: Mapping[str, Any], modality: str
) -> dict[str, Any]:
    """Later settings over earlier ones, as :mod:`ablations.layers` merges them.

    What another variant of a section does not have goes: a reference arm has none of
    the settings of the study's objective.
    """
    kept = dict(settings)
    for path, value in later.items():
        section, _, tag = path.rpartition(".")
        if tag not in TAGS or kept.get(path, value) == value:
            continue
        known = known_settings(TRIAL_TYPES[modality], (*section.split("."), str(value)))
        for other in [name for name in kept if name.startswith(f"{section}.")]:
            if other.removeprefix(f"{section}.").partition(".")[0] not in known:
                del kept[other]
    return kept | dict(later)


def report_command(manifest: Manifest) -> str:
    """Rebuilds the report of a request from the tracking store."""
    words = ["d2v", "report", manifest.study["name"]]
    if manifest.recipe:
        words += ["--recipe", manifest.recipe]
    else:
        words += ["--modality", manifest.modality, "--scale", manifest.scale]
    for assignment in manifest.assignments:
        words += ["--set", assignment]
    return " ".join([shlex.join(words), *_places(manifest.command)])


def _places(command: str) -> list[str]:
    """Where a recorded command had its store; as it stands there, quotes included."""
    return [part[0] for part in PLACE.finditer(command)]


def as_yaml(value: Any) -> str:
    """A setting that YAML reads back as itself, text without quotes where it may."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    try:
        same = parse_value(value, "") == value
    except ConfigError:
        same = False
    return value if same else json.dumps(value, ensure_ascii=False)


def _data_root(base: Mapping[str, Any]) -> str | None:
    root = base.get("data", {}).get("root")
    return str(root) if root else None
