"""What a worker says does not hold it up, except where it may be told to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from d2v_core.training.events import Finished
from d2v_core.trial import run_trial
from sweeps.worker import trial as worker
from sweeps.worker.job import spool_of
from sweeps.worker.outbox import Outbox
from sweeps.worker.trial import run_job
from tests.d2v_core.small import merged
from tests.sweeps.worker.test_trial import job


def test_training_goes_on_while_the_driver_takes_nothing(tmp_path: Path) -> None:
    gate = threading.Event()
    messages: list[dict[str, Any]] = []

    def send(message: dict[str, Any]) -> None:
        assert gate.wait(timeout=60.0)
        messages.append(message)

    thread = threading.Thread(target=run_job, args=(job(tmp_path), send))
    thread.start()
    spool = spool_of(job(tmp_path))
    while spool.read_record() is None:  # trained, evaluated, written down
        assert thread.is_alive()
    assert not messages
    gate.set()
    thread.join(timeout=60.0)
    assert next(iter(messages[0])) == "started"
    assert "record" in messages[-1]


def test_training_goes_on_while_a_checkpoint_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, trained = threading.Event(), threading.Event()

    def watched(*arguments: Any, **options: Any) -> Iterator[Any]:
        for event in run_trial(*arguments, **options):
            if isinstance(event, Finished):
                trained.set()
            yield event

    monkeypatch.setattr(worker, "run_trial", watched)
    monkeypatch.setattr(worker, "write_checkpoint", lambda p, c: gate.wait(60.0))
    thread = threading.Thread(target=run_job, args=(job(tmp_path), lambda m: None))
    thread.start()
    assert trained.wait(timeout=60.0)
    spool = spool_of(job(tmp_path))
    assert spool.read_record() is None  # nothing is handed in before it is written
    gate.set()
    thread.join(timeout=60.0)
    assert spool.read_record() is not None


def test_a_probe_is_answered_before_training_goes_on(tmp_path: Path) -> None:
    """Ray Tune ends a trial by SystemExit out of its report."""
    sent: list[dict[str, Any]] = []

    def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if "probe" in message:
            raise SystemExit(0)

    probing = {"trial": {"execution": {"probe_at": [0.5]}}}
    with pytest.raises(SystemExit):
        run_job(merged(job(tmp_path), probing), send)
    assert "probe" in sent[-1]
    assert spool_of(job(tmp_path)).read_record() is None


def test_messages_keep_their_order() -> None:
    sent: list[dict[str, Any]] = []
    outbox = Outbox(sent.append)
    with outbox:
        for number in range(50):
            outbox.send({"number": number})
    assert [message["number"] for message in sent] == list(range(50))
