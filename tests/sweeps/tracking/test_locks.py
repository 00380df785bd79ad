"""One process at a time trains a trial, and a process that dies holds nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.tracking.locks import TrialLocks
from tests.sweeps.command import environment

KEY, OTHER_KEY = "2c56482456914a50", "fff807cc45fad6bc"
HOLD = f"""
import sys
from pathlib import Path
from sweeps.tracking.locks import TrialLocks
locks = TrialLocks(Path("store"))
print(locks.take({KEY!r}), flush=True)
sys.stdin.readline()
locks.give_back({KEY!r})
print("given back", flush=True)
print(locks.take({OTHER_KEY!r}), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Holds one trial, gives it back after a line, and takes another."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_a_trial_is_one_process_own_until_it_gives_it_back_or_dies(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    with TrialLocks(tmp_path / "store") as locks:
        assert not locks.take(KEY)
        assert locks.take("0" * 16)
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "given back\n"
        assert locks.take(KEY)
        assert other.stdout.readline() == "True\n"
        assert not locks.take(OTHER_KEY)
        other.kill()
        other.wait()
        assert locks.take(OTHER_KEY)
