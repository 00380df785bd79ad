"""Writes are made in order, again while they may succeed, and never after a failure."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from d2v_core.errors import ConfigError
from sweeps.stopping import StopRequest
from sweeps.tracking.stores import Stores
from sweeps.tracking.writer import (
    PATIENCE_VARIABLE,
    StoreWriteError,
    StoreWriter,
    is_disk_full,
    patience_seconds,
)


def writer(folder: Path) -> StoreWriter:
    stores = Stores(folder, f"sqlite:///{folder}/mlflow.db")
    return StoreWriter(stores, lambda text: None, StopRequest(folder), lambda: True)


def test_a_write_that_fails_is_made_again_before_the_next(tmp_path: Path) -> None:
    made: list[str] = []
    tries = iter([RuntimeError("locked"), None])

    def first() -> None:
        if error := next(tries):
            raise error
        made.append("first")

    writes = writer(tmp_path)
    writes.submit(first)
    writes.submit(made.append, "second")
    assert writes.ask(lambda: list(made)) == ["first", "second"]
    writes.close()


def test_a_write_that_keeps_failing_ends_the_writes_once_patience_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PATIENCE_VARIABLE, "0.5")
    made: list[str] = []
    tries: list[str] = []

    def refused() -> None:
        tries.append("again")
        raise RuntimeError("no such run")

    writes = writer(tmp_path)
    writes.submit(refused)
    writes.submit(made.append, "after")
    with pytest.raises(StoreWriteError, match="no such run.*are safe in"):
        writes.close()
    assert len(tries) == 1
    assert not made


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", ""])
def test_patience_is_a_number_of_seconds(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert patience_seconds() == 60.0
    monkeypatch.setenv(PATIENCE_VARIABLE, text)
    with pytest.raises(ConfigError) as caught:
        patience_seconds()
    assert str(caught.value) == (
        f"{PATIENCE_VARIABLE}: must be a number of seconds, at least 0, got {text!r}"
    )


def test_a_full_disk_ends_the_writes_and_says_where_results_are(tmp_path: Path) -> None:
    made: list[str] = []

    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writes = writer(tmp_path)
    writes.submit(fill)
    writes.submit(made.append, "after")
    with pytest.raises(StoreWriteError, match="No space left on device.*are safe in"):
        writes.close()
    assert not made


def test_a_full_disk_is_seen_through_what_wraps_it() -> None:
    wrapped = RuntimeError("the store failed")
    wrapped.__cause__ = ValueError(
        "(sqlite3.OperationalError) database or disk is full"
    )
    assert is_disk_full(wrapped)
    assert not is_disk_full(RuntimeError("database is locked"))
