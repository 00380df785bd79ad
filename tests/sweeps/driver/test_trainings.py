"""One of the trials that need the same encoder trains it, whoever else runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ablations.record import Record
from d2v_core.kept_files import DESCRIPTION
from sweeps.driver.trainings import TrainingPolicy, Trainings, with_key
from sweeps.tracking.locks import TrialLocks
from sweeps.worker.encoders import EncoderStore
from tests.sweeps.ray.test_tune_callback import failed

T = "00000000000000aa"


@pytest.fixture
def encoders(tmp_path: Path) -> EncoderStore:
    return EncoderStore(tmp_path / "encoders")


def keep(encoders: EncoderStore, training: str = T) -> None:
    encoders.place(training).mkdir(parents=True)
    (encoders.place(training) / DESCRIPTION).write_text("{}")


def test_the_first_trains_and_the_others_come_later(
    tmp_path: Path, encoders: EncoderStore
) -> None:
    with TrialLocks(tmp_path) as locks:
        trainings = Trainings(encoders, locks, TrainingPolicy())
        assert trainings.ask(T, "one") == "start"
        assert trainings.ask(T, "two") == "later"
        assert trainings.ask(T, "one") == "start"  # it was not launched: asked again
        keep(encoders)
        assert trainings.ended(T, "one")
        assert not trainings.ended(T, "two")
        assert trainings.ask(T, "two") == "start"


def test_a_training_that_failed_is_not_tried_by_every_trial_that_needs_it(
    tmp_path: Path, encoders: EncoderStore
) -> None:
    with TrialLocks(tmp_path) as locks:
        trainings = Trainings(encoders, locks, TrainingPolicy())
        assert trainings.ask(T, "one") == "start"
        record = failed(key="one", status="diverged", reason="at step 3")
        assert not trainings.ended(T, "one", record)
        assert trainings.ask(T, "two") == record
        other = with_key(record, "two")
        assert isinstance(other, Record)
        assert (other.key, other.status, other.reason) == (
            "two",
            "diverged",
            "at step 3",
        )


def test_an_evaluation_that_failed_stops_no_other(
    tmp_path: Path, encoders: EncoderStore
) -> None:
    with TrialLocks(tmp_path) as locks:
        trainings = Trainings(encoders, locks, TrainingPolicy())
        assert trainings.ask(T, "one") == "start"
        keep(encoders)
        assert trainings.ended(T, "one", failed(key="one"))
        assert trainings.ask(T, "two") == "start"


def test_a_training_of_another_run_is_waited_for(
    tmp_path: Path, encoders: EncoderStore
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from sweeps.tracking.locks import TrialLocks\n"
        "locks = TrialLocks(Path(sys.argv[1])); assert locks.take(sys.argv[2])\n"
        "print('taken', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), T],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other, TrialLocks(tmp_path) as locks:
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        trainings = Trainings(encoders, locks, TrainingPolicy())
        assert trainings.ask(T, "one") == "elsewhere"
        other.kill()
        other.wait()
        assert trainings.ask(T, "one") == "start"


def test_a_run_that_only_evaluates_trains_nothing(
    tmp_path: Path, encoders: EncoderStore
) -> None:
    with TrialLocks(tmp_path) as locks:
        trainings = Trainings(encoders, locks, TrainingPolicy(trains=False))
        assert trainings.ask(T, "one") == "untrained"
        keep(encoders)
        assert trainings.ask(T, "one") == "start"


@pytest.mark.parametrize("policy", ["all", "none"])
def test_what_was_made_goes_unless_it_is_to_stay(
    tmp_path: Path, encoders: EncoderStore, policy: str
) -> None:
    wanted, before = "00000000000000bb", "00000000000000cc"
    with TrialLocks(tmp_path) as locks:
        keep(encoders, before)
        trainings = Trainings(encoders, locks, TrainingPolicy(keep=policy))  # type: ignore[arg-type]
        for training in (T, wanted, before):
            assert trainings.ask(training, f"needs {training}") == "start"
            if training != before:
                keep(encoders, training)
            trainings.ended(training, f"needs {training}")
        assert trainings.num_bytes([T, T, wanted]) == 4
        trainings.tidy(wanted={wanted})
    left = {wanted, before} | ({T} if policy == "all" else set())
    assert set(encoders.keys()) == left


def test_a_broken_encoder_is_set_aside_and_said(
    encoders: EncoderStore, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        keep(encoders)
        assert encoders.has(T)
        caplog.clear()
        assert encoders.read(T) is None
        assert not encoders.has(T)
        assert list(encoders.keys()) == []
        (line,) = [record.getMessage() for record in caplog.records]
        assert "this encoder cannot be used: must be of version 1" in line
        assert line.endswith("and it is trained again")
