"""What a worker says does not hold it up, except where it may be told to stop."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from sweeps.outbox import Outbox
from sweeps.spool import Spool
from sweeps.worker import run_job
from tests.core.small import merged
from tests.sweeps.test_worker import job


def test_training_goes_on_while_the_driver_takes_nothing(tmp_path: Path) -> None:
    gate = threading.Event()
    messages: list[dict[str, Any]] = []

    def send(message: dict[str, Any]) -> None:
        assert gate.wait(timeout=60.0)
        messages.append(message)

    worker = threading.Thread(target=run_job, args=(job(tmp_path), send))
    worker.start()
    spool = Spool(tmp_path / "trial")
    while spool.read_record() is None:  # trained, evaluated, written down
        assert worker.is_alive()
    assert not messages
    gate.set()
    worker.join(timeout=60.0)
    assert next(iter(messages[0])) == "started"
    assert "record" in messages[-1]


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
    assert Spool(tmp_path / "trial").read_record() is None


def test_messages_keep_their_order() -> None:
    sent: list[dict[str, Any]] = []
    outbox = Outbox(sent.append)
    with outbox:
        for number in range(50):
            outbox.send({"number": number})
    assert [message["number"] for message in sent] == list(range(50))
