"""Runs the real ``d2v`` command in a folder of its own, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

import d2v_cli
from tests.sweeps import warm

SECONDS = 600.0
TINY = (
    "--set=training.num_steps=6",
    "--set=execution.log_every=2",
    "--set=evaluation.l2_grid=[0.01, 0.1]",
)
"""Shrinks the smoke recipe to a fraction of a second per trial."""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


def environment(**extra: str) -> dict[str, str]:
    unwanted = ("MLFLOW_", "RAY_", "D2V_", "PYTHONWARNINGS")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    return {**kept, "D2V_CACHE": os.environ["D2V_CACHE"], "COLUMNS": "120", **extra}


def d2v_here(
    folder: Path,
    *arguments: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    **extra: str,
) -> Done:
    """The same command inside this process: no start-up time, no Ray."""
    monkeypatch.chdir(folder)
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "D2V_DATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": "120", **extra}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["d2v", *arguments])
    with pytest.raises(SystemExit) as end:
        d2v_cli.main()
    captured = capsys.readouterr()
    code = end.value.code
    assert isinstance(code, int)
    return Done(code, captured.out, captured.err)


class Here(Protocol):
    """:func:`d2v_here` with pytest's fixtures filled in (``here`` in conftest.py)."""

    def __call__(self, folder: Path, *arguments: str, **extra: str) -> Done: ...


def d2v(folder: Path, *arguments: str, **extra: str) -> Done:
    """The command as a process of its own, whose imports have been paid (warm.py).

    What Ray reads while it is imported takes a process that starts from nothing.
    """
    if any(name.startswith("RAY_") for name in extra):
        return d2v_cold(folder, *arguments, **extra)
    return Done(*warm.run(folder, arguments, environment(**extra), SECONDS))


def d2v_cold(folder: Path, *arguments: str, **extra: str) -> Done:
    """The command as the shell starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "d2v_cli", *arguments],
        cwd=folder,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
