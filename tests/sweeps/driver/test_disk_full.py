"""A disk that is really full: a small tmpfs that holds the storage folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from d2v_core.files import write_atomically
from sweeps.worker.spool import Spool
from tests.sweeps.command import d2v
from tests.sweeps.conftest import Undisturbed
from tests.sweeps.driver.long_run import (
    LONG,
    client,
    results,
    running,
    trials_so_far,
    wait_until,
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


def num_finished(folder: Path) -> int:
    return [t.info.status for t in trials_so_far(folder)].count("FINISHED")


@pytest.mark.thorough
def test_a_run_ends_with_one_message_and_continues_with_space(
    tmp_path: Path, disk: Path, undisturbed: Undisturbed
) -> None:
    with running(tmp_path, *LONG) as run:
        wait_until(lambda: num_finished(tmp_path), run, 300)
        filler = fill(disk)
        output, _ = run.communicate(timeout=240)
    assert run.returncode == 1, output
    assert "Traceback" not in output
    assert "make space" in output or "put the cause right" in output
    assert "the same command again" in output

    filler.unlink()
    again = d2v(tmp_path, *LONG)
    assert again.code == 0, again.out + again.err
    assert "1 cached" in again.out or "2 cached" in again.out
    assert results(client(tmp_path)) == undisturbed.results


@pytest.mark.thorough
def test_a_trial_that_hangs_ends_even_if_nothing_can_be_written(disk: Path) -> None:
    hanging = job(disk, silence_seconds=10.0, checkpoint_every_seconds=1e7)
    Path(hanging["folder"]).mkdir()
    fill(disk)
    assert run_and_hang(hanging) == 1
    assert Spool(Path(hanging["folder"])).read_record() is None


def test_half_a_file_is_no_file(disk: Path) -> None:
    filler = fill(disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(disk / "record.json", b"x" * 100_000)
    assert sorted(disk.iterdir()) == [filler]
