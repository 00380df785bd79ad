"""One trial in this process, as a Ray worker runs it: what it leaves and says."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.record import Record
from d2v_core.config import TrialConfig, VisionTrial, parsing
from d2v_core.errors import DivergedError
from d2v_core.kept_files import is_kept
from sweeps.worker.data_parallel import run_anyhow
from sweeps.worker.job import spool_of
from sweeps.worker.trial import TimedOutError, run_job, status_of
from sweeps.worker.watchdog import Watchdog
from tests.d2v_core.small import merged, small_trial


def job(folder: Path, **execution: Any) -> dict[str, Any]:
    trial = small_trial({"vision": {"image_size": 8}}).model_dump(mode="json")
    return {
        "key": "0123456789abcdef",
        "training": "fedcba9876543210",
        "trial": merged(trial, {"execution": execution}),
        "folder": str(folder / "trial"),
        "encoders": str(folder / "encoders"),
        "stop_file": str(folder / "stop"),
        "data_name": "digits",
        "data_digest": "0" * 16,
        "num_workers": 1,
    }


def record_in(messages: list[dict[str, Any]]) -> Record:
    return Record.model_validate_json(messages[-1]["record"])


def test_a_result_lies_beside_the_checkpoint_until_it_is_handed_in(
    tmp_path: Path,
) -> None:
    first: list[dict[str, Any]] = []
    run_job(job(tmp_path), first.append)
    record = record_in(first)
    assert record.status == "finished"
    spool = spool_of(job(tmp_path))
    assert spool.read_record() == (record, first[-1]["time"])
    progress = [entry for m in first for entry in m.get("progress", [])]
    assert [step for step, _, _ in progress] == [1, 2, 3, 4, 5, 6]

    again: list[dict[str, Any]] = []
    run_job(job(tmp_path), again.append)
    assert record_in(again) == record
    assert [list(entry) for entry in again[0]["progress"]] == [
        list(e) for e in progress
    ]

    spool.handed_in(done=True)
    assert not spool.exists  # nor is there a checkpoint: the encoder is kept
    assert is_kept(tmp_path / "encoders" / "fedcba9876543210")


def test_a_picture_of_samples_lies_beside_the_result(tmp_path: Path) -> None:
    run_job(job(tmp_path), list[Any]().append)
    picture = spool_of(job(tmp_path)).picture
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 100_000


def test_a_picture_that_cannot_be_drawn_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any) -> None:
        raise RuntimeError("no drawing")

    monkeypatch.setattr("sweeps.worker.pictures.sample_picture", fails)
    messages: list[dict[str, Any]] = []
    run_job(job(tmp_path), messages.append)
    assert record_in(messages).status == "finished"
    said = [message["said"] for message in messages if "said" in message]
    assert said == ["no picture of samples was drawn (RuntimeError: no drawing)"]
    assert not spool_of(job(tmp_path)).picture.exists()


def test_a_trial_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, messages = [], list[dict[str, Any]]()
    whole = parsing.parse_section

    def counted(model: type[TrialConfig], data: Any) -> TrialConfig:
        parsed.append(model)
        return whole(model, data)

    given = job(tmp_path)
    monkeypatch.setattr(parsing, "parse_section", counted)
    run_anyhow(given, messages.append)
    assert record_in(messages).status == "finished"
    assert parsed == [VisionTrial]


def test_a_wanted_stop_saves_and_the_next_attempt_goes_on_there(tmp_path: Path) -> None:
    messages: list[dict[str, Any]] = []
    stop = tmp_path / "stop"
    long = {"trial": {"training": {"num_steps": 100}}}

    def send(message: dict[str, Any]) -> None:
        messages.append(message)
        if "started" in message:
            stop.touch()

    run_job(merged(job(tmp_path), long), send)
    assert messages[-1] == {"stopped": True}
    saved = torch.load(spool_of(job(tmp_path)).checkpoint, weights_only=True)
    assert 1 <= saved["step"] < 100

    later: list[dict[str, Any]] = []
    run_job(merged(job(tmp_path), long), later.append)
    assert later == [{"stopped": True}]  # not even started

    stop.unlink()
    run_job(merged(job(tmp_path), long), later.append)
    assert [m["started"]["step"] for m in later if "started" in m] == [saved["step"]]
    straight: list[dict[str, Any]] = []
    (tmp_path / "other").mkdir()
    run_job(merged(job(tmp_path / "other"), long), straight.append)
    ours, theirs = record_in(later).metrics, record_in(straight).metrics
    for name, value in theirs.items():
        assert name.startswith("cost/") or ours[name] == value


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DivergedError(3, "the loss is not finite (nan)"), "diverged"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (TimedOutError("no sign of life"), "timed_out"),
        (ValueError("anything else"), "failed"),
    ],
)
def test_each_way_to_end_has_its_status(error: Exception, status: str) -> None:
    assert status_of(error) == status


def test_a_watchdog_calls_once_after_silence_and_not_before() -> None:
    now, calls, called = [0.0], [], threading.Event()

    def give_up() -> None:
        calls.append(now[0])
        called.set()

    with Watchdog(0.1, give_up, clock=lambda: now[0]) as watchdog:
        for _ in range(8):
            now[0] += 0.09
            time.sleep(
                0.05
            )  # it looks; however long this takes, the clock stands still
            watchdog.sign_of_life()
        assert not calls
        now[0] += 0.2
        assert called.wait(timeout=60.0)
        now[0] += 10.0
        time.sleep(0.1)
    assert len(calls) == 1


def run_and_hang(hanging: dict[str, Any]) -> int:
    """Exit code of a process whose trial hangs in its evaluation."""
    code = """
        import json, sys, time
        import d2v_core.modalities.vision as vision
        from sweeps.worker.trial import run_job
        job = json.loads(sys.argv[1])
        vision.Vision.evaluate = lambda *a: time.sleep(1_000)
        run_job(job, lambda message: None)
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), json.dumps(hanging)],
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[3],
    ).returncode


@pytest.mark.thorough
def test_a_trial_that_hangs_ends_its_process_and_says_so(tmp_path: Path) -> None:
    hanging = job(tmp_path, silence_seconds=10.0)
    assert run_and_hang(hanging) == 1
    messages: list[dict[str, Any]] = []
    run_job(hanging, messages.append)
    record = record_in(messages)
    assert record.status == "timed_out"
    assert record.reason == "TimedOutError: no sign of life for 10 seconds"
    assert record.steps == 6


def test_what_a_trial_takes_of_the_machine_is_logged_where_it_is_asked_for(
    tmp_path: Path,
) -> None:
    messages: list[dict[str, Any]] = []
    run_job(job(tmp_path, system_metrics=True, log_every=2), messages.append)
    assert record_in(messages).status == "finished"
    entries = [entry for m in messages for entry in m.get("progress", ())]
    used = [entry[2] for entry in entries if "train/loss" in entry[2]]
    assert len(used) == 3
    for metrics in used:
        assert 0.0 < metrics["system/process_cpu_utilization_percentage"] < 1_000.0
        assert 50.0 < metrics["system/process_peak_memory_megabytes"] < 50_000.0
    plain: list[dict[str, Any]] = []
    run_job(job(tmp_path / "other", log_every=2), plain.append)
    names = {n for m in plain for entry in m.get("progress", ()) for n in entry[2]}
    assert not [name for name in names if name.startswith("system/")]
