"""Torn files in the storage folder are set aside with a line, and the trial goes on."""

import logging
from random import Random

import pytest

from ablations.record import Record
from sweeps.worker.job import spool_of
from sweeps.worker.spool import Spool
from sweeps.worker.trial import run_job
from tests.d2v_core.data.test_cache import torn
from tests.sweeps.worker.test_trial import job, record_in

RECORD = Record(
    key="0123456789abcdef",
    status="finished",
    seed=0,
    steps=6,
    num_parameters=1,
    metrics={"eval/linear_accuracy": 50.0, "cost/nan": float("nan")},
    data_name="digits",
    data_digest="0" * 16,
    environment={},
)
HISTORY = [(1, 1_700_000_000_000, {"train/loss": 0.5}), (2, 1_700_000_000_001, {})]


def test_what_is_written_comes_back(tmp_path):
    spool = Spool(tmp_path / "trial")
    assert (spool.read_record(), spool.read_history()) == (None, [])
    spool.write_history(HISTORY)
    assert spool.read_progress() == HISTORY
    spool.write_record(RECORD, 7, HISTORY[:1])
    assert spool.read_history() == HISTORY
    assert spool.read_progress() == HISTORY[:1]
    record, time = spool.read_record()
    assert (record.metrics.keys(), time) == (RECORD.metrics.keys(), 7)


@pytest.mark.parametrize("name", ["record.json", "history.json"])
def test_a_torn_file_is_set_aside_and_said(tmp_path, caplog, name):
    spool, random = Spool(tmp_path), Random(2022)
    for _ in range(30):
        spool.write_history(HISTORY)
        spool.write_record(RECORD, 7)
        content = torn((tmp_path / name).read_bytes(), random)
        (tmp_path / name).write_bytes(content)
        caplog.clear()
        read = {"record.json": spool.read_record, "history.json": spool.read_history}
        assert not read[name]()
        assert (tmp_path / f"{name}.torn").read_bytes() == content
        assert not (tmp_path / name).exists()
        (line,) = [r.getMessage() for r in caplog.records]
        assert line.startswith(f"{tmp_path / name}: is torn, or of another version; ")
        caplog.clear()
        assert not read[name]()
        assert not caplog.records  # said once


@pytest.mark.parametrize("content", [b"[]", b"{}", b"1", b'{"record": {}, "time": 1}'])
def test_a_record_that_is_something_else_is_set_aside(tmp_path, content):
    (tmp_path / "record.json").write_bytes(content)
    assert Spool(tmp_path).read_record() is None
    assert (tmp_path / "record.json.torn").exists()


def test_a_trial_with_torn_files_is_trained_from_its_start(tmp_path, caplog):
    spool = spool_of(job(tmp_path))
    for file in (spool.folder / "record.json", spool.checkpoint):
        file.parent.mkdir()
        file.write_bytes(b"{gar")
    (spool.checkpoint.parent / "history.json").write_bytes(b"{gar")
    messages = []
    with caplog.at_level(logging.WARNING):
        run_job(job(tmp_path), messages.append)
    record = record_in(messages)
    assert record.status == "finished"
    assert record.data_inventory["unit"] == "images"
    assert sum(record.data_inventory["used"].values()) == 1_797
    (started,) = [m["started"] for m in messages if "started" in m]
    assert started["step"] == 0
    said = [record.getMessage() for record in caplog.records]
    assert any("record.json: is torn" in line for line in said)
    assert any("checkpoint.pt: is cut short or garbled" in line for line in said)
