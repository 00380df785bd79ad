"""Origin of a run: user, code version, machine, library versions."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LIBRARIES = ("torch", "timm", "ray", "mlflow", "numpy", "scikit-learn")


@dataclass(frozen=True)
class CodeVersion:
    """State of the checkout the code runs from.

    Attributes:
        commit: Full hash, or ``unknown`` outside a checkout.
        dirty: Whether files differ from the commit.
    """

    commit: str
    dirty: bool


@lru_cache(maxsize=1)
def code_version() -> CodeVersion:
    """Ask git about the folder this package lies in."""
    folder = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=20
        ).stdout.strip()

    try:
        return CodeVersion(git("rev-parse", "HEAD"), bool(git("status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return CodeVersion("unknown", False)


def user() -> str:
    """Login name, or ``unknown``."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def give_user_a_name() -> None:
    """Name the user and a home folder where the system has none.

    In containers that run under an arbitrary id, torch, Ray and MLflow ask the password
    database for both and fail.
    """
    if user() == "unknown":
        os.environ["USER"] = f"uid{os.getuid()}"
    try:
        home: Path | None = Path.home()
    except RuntimeError:
        home = None
    if home is None or not os.access(home, os.W_OK):
        folder = Path(tempfile.gettempdir()) / f"home-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        os.environ["HOME"] = str(folder)


def describe_environment() -> dict[str, str]:
    """Versions and machine, for a record."""
    version = code_version()
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": str(os.cpu_count()),
        **libraries,
        "git_commit": version.commit,
        "git_dirty": str(version.dirty).lower(),
    }


def _processor() -> str:
    """Name, family and model: two that have one name may round differently."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        first = ""
    pairs = (line.partition(":") for line in first.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    finer = (f"{k} {facts[k]}" for k in ("cpu family", "model") if k in facts)
    return ", ".join((facts["model name"], *finer))
