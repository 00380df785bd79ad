"""A report on a disk that is full or cannot be written leaves the old one whole."""

from __future__ import annotations

import errno
import importlib
import os
from pathlib import Path

import pytest

from reports import files
from reports.files import ReportWriteError, write_files

OLD = {"table.md": "old table", "curve.png": b"old curve", "report.html": "old page"}
NEW = {"table.md": "new table", "curve.png": b"new curve", "report.html": "new page"}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_take_the_place_of_the_old_and_others_stay(tmp_path: Path):
    folder = tmp_path / "new" / "report"
    write_files(OLD, folder)
    (folder / "notes.txt").write_text("mine")
    written = write_files(NEW, folder)
    assert written["table.md"].read_text() == "new table"
    assert content(folder) == {
        "table.md": b"new table",
        "curve.png": b"new curve",
        "report.html": b"new page",
        "notes.txt": b"mine",
    }


@pytest.mark.parametrize("fails_at", range(3))
def test_a_disk_that_gets_full_leaves_the_old_report(tmp_path, monkeypatch, fails_at):
    """Whichever file no longer fits."""
    write_files(OLD, tmp_path)
    before, write, num_written = content(tmp_path), files.write_atomically, 0

    def filling_up(path: Path, data: bytes) -> None:
        nonlocal num_written
        if num_written == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        num_written += 1
        write(path, data)

    monkeypatch.setattr(files, "write_atomically", filling_up)
    with pytest.raises(ReportWriteError, match="No space left on device") as caught:
        write_files(NEW, tmp_path)
    assert "\n" not in str(caught.value)
    assert content(tmp_path) == before


def test_a_folder_that_is_a_file_is_one_message(tmp_path: Path):
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(ReportWriteError, match="cannot be written into"):
        write_files(NEW, tmp_path / "report")
    assert (tmp_path / "report").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path):
    write_files(OLD, tmp_path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ReportWriteError, match="Permission denied"):
            write_files(NEW, tmp_path)
        assert content(tmp_path).keys() == OLD.keys()
    finally:
        tmp_path.chmod(0o700)


def test_the_command_says_one_message_and_ends_with_one(monkeypatch, capsys):
    def fail() -> None:
        raise ReportWriteError("the report cannot be written into x (full)")

    # The package has an attribute of the module's name: the application.
    command = importlib.import_module("d2v_cli.app")
    monkeypatch.setattr(command, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "the report cannot be written into x (full)\n"
