"""A disk that is really full: a small tmpfs that holds the storage folder."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from d2v_core.files import write_atomically
from sweeps.worker.spool import Spool
from tests.sweeps.command import d2v
from tests.sweeps.driver.long_run import (
    LONG,
    client,
    end_ray_of,
    results,
    start,
    trials_so_far,
)
from tests.sweeps.worker.test_trial import job, run_and_hang


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """``d2v-runs`` on a disk of its own."""
    folder = tmp_path / "d2v-runs"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a tmpfs cannot be mounted here (it takes root): {error}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that leaves no space."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**10, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def test_a_run_ends_with_one_message_and_continues_with_space(
    tmp_path: Path, disk: Path
) -> None:
    run = start(tmp_path, *LONG)
    session = os.getsid(run.pid)
    deadline = time.monotonic() + 300
    while not any(t.info.status == "FINISHED" for t in trials_so_far(tmp_path)):
        assert time.monotonic() < deadline, "no trial finished"
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    filler = fill(disk)
    output, _ = run.communicate(timeout=240)
    end_ray_of(session)
    assert run.returncode == 1, output
    assert "Traceback" not in output
    assert "make space" in output or "put the cause right" in output
    assert "the same command again" in output

    filler.unlink()
    again = d2v(tmp_path, *LONG)
    assert again.code == 0, again.out + again.err
    assert "1 cached" in again.out or "2 cached" in again.out
    straight = tmp_path / "straight"
    straight.mkdir()
    undisturbed = d2v(straight, *LONG)
    assert undisturbed.code == 0, undisturbed.err
    assert results(client(tmp_path)) == results(client(straight))


def test_a_trial_that_hangs_ends_even_if_nothing_can_be_written(disk: Path) -> None:
    hanging = job(disk, silence_seconds=10.0, checkpoint_every_seconds=1e9)
    Path(hanging["folder"]).mkdir()
    fill(disk)
    assert run_and_hang(hanging) == 1
    assert Spool(Path(hanging["folder"])).read_record() is None


def test_half_a_file_is_no_file(disk: Path) -> None:
    filler = fill(disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(disk / "record.json", b"x" * 100_000)
    assert sorted(disk.iterdir()) == [filler]
