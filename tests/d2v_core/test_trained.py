"""A kept encoder is what was trained, to the bit, or it is not read at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from d2v_core.build import build_objective
from d2v_core.config import TrialConfig, parse_trial
from d2v_core.config.speech import SpeechTrial
from d2v_core.config.text import TextTrial
from d2v_core.kept_files import BrokenEncoderError, is_kept
from d2v_core.modalities.modality import Dataset
from d2v_core.trained import (
    TrainedEncoder,
    num_networks,
    read_trained,
    write_trained,
)
from d2v_core.training.checkpoint import TrainingState
from d2v_core.training.events import Finished, Started, Trained
from d2v_core.trial import evaluate_trained, run_trial
from tests.d2v_core.data.test_cache import torn
from tests.d2v_core.small import small_trial
from tests.d2v_core.small_speech import small_speech_dataset, small_speech_trial
from tests.d2v_core.small_text import small_task, small_text_dataset, small_text_trial

SMALL = {"vision": {"image_size": 8}}


def small_data(trial: TrialConfig) -> Dataset | None:
    """Made-up data where the real ones take long; None: the trial's own."""
    if isinstance(trial, SpeechTrial):
        return small_speech_dataset()
    return small_text_dataset(small_task()) if isinstance(trial, TextTrial) else None


def trained_and_result(trial: TrialConfig) -> tuple[TrainedEncoder, Finished]:
    """Train; what is kept, and what the evaluation in the same process said."""
    for event in run_trial(trial, dataset=small_data(trial)):
        match event:
            case Started():
                about: dict[str, Any] = {"data": event.data}
                about["inventory"] = event.inventory
            case Trained():
                kept = TrainedEncoder.taken_from(event.state, trial, **about)
            case Finished():
                return kept, event
    raise AssertionError("it did not finish")


@pytest.mark.parametrize(
    "trial",
    [
        small_trial(SMALL),
        small_trial({**SMALL, "evaluation": {"network": "teacher"}}),
        small_trial({**SMALL, "objective": {"kind": "untrained"}}),
        small_trial({**SMALL, "objective": {"kind": "supervised"}}),
        small_speech_trial(),
        small_text_trial(),
    ],
    ids=["student", "teacher", "untrained", "supervised", "speech", "text"],
)
def test_an_evaluation_of_a_kept_encoder_gives_the_same_to_the_bit(
    tmp_path: Path, trial: TrialConfig
) -> None:
    kept, result = trained_and_result(trial)
    write_trained(tmp_path / "kept", kept)
    assert len(kept.networks) == num_networks(trial)
    read = read_trained(tmp_path / "kept")
    started, again = evaluate_trained(trial, read, dataset=small_data(trial))
    assert isinstance(started, Started)
    assert isinstance(again, Finished)
    assert started.data == kept.data
    assert (again.status, again.step) == (result.status, result.step)
    assert again.choices == result.choices
    assert again.notes == result.notes
    same = {k: v for k, v in result.metrics.items() if k != "cost/evaluation_seconds"}
    assert {k: again.metrics[k] for k in same} == same
    assert parse_trial(read.trial) == trial


def some_encoder() -> TrainedEncoder:
    trial = small_trial(SMALL)
    objective = build_objective(trial, num_classes=10)
    optimizer = torch.optim.SGD(objective.module.parameters(), lr=1.0)
    state = TrainingState(objective, optimizer, step=3, seconds=1.5)
    state.preprocessing = {"mean": (0.5,), "std": (0.25,)}
    history = [(1, 7, {"train/loss": float("nan")})]
    return TrainedEncoder.taken_from(
        state,
        trial,
        data="digits: all",
        inventory={"used": {3: 1, 12: 2}},
        history=history,
    )


def test_all_that_is_said_comes_back(tmp_path: Path) -> None:
    written = some_encoder()
    write_trained(tmp_path / "one" / "kept", written)
    read = read_trained(tmp_path / "one" / "kept")
    assert (read.step, read.seconds, read.collapse) == (3, 1.5, None)
    assert read.preprocessing == written.preprocessing
    assert read.networks.keys() == {"student", "teacher"}
    for name, weights in written.networks.items():
        assert all(torch.equal(read.networks[name][k], t) for k, t in weights.items())
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["kept"]


def test_the_weights_are_copies(tmp_path: Path) -> None:
    trial = small_trial(SMALL)
    objective = build_objective(trial, num_classes=10)
    optimizer = torch.optim.SGD(objective.module.parameters(), lr=1.0)
    kept = TrainedEncoder.taken_from(TrainingState(objective, optimizer), trial)
    before = {k: t.clone() for k, t in kept.networks["student"].items()}
    with torch.no_grad():
        for parameter in objective.module.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(kept.networks["student"][k], t) for k, t in before.items())


@pytest.mark.parametrize(
    "name", ["encoder.json", "student.safetensors", "teacher.safetensors"]
)
def test_a_torn_file_is_never_read(tmp_path: Path, name: str) -> None:
    whole, random = tmp_path / "whole", Random(2022)
    write_trained(whole, some_encoder())
    for number in range(20):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(torn(content, random))
        with pytest.raises(BrokenEncoderError):
            read_trained(folder)


def test_other_faults_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_trained(tmp_path / "none")
    folder = tmp_path / "kept"
    write_trained(folder, some_encoder())
    about = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps({**about, "version": 99}))
    with pytest.raises(BrokenEncoderError, match="must be of version 1, is of 99"):
        read_trained(folder)
    write_trained(folder, some_encoder())  # in place of it
    (folder / "teacher.safetensors").unlink()
    with pytest.raises(BrokenEncoderError, match="teacher.safetensors is missing"):
        read_trained(folder)
    other = small_trial({"vision": {"image_size": 8, "width": 48}})
    with pytest.raises(BrokenEncoderError, match="weights of another encoder"):
        some_encoder().encoder(other)


def test_a_write_that_fails_leaves_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **options: Any) -> bytes:
        raise OSError(28, "No space left on device")

    write_trained(tmp_path / "kept", some_encoder())
    monkeypatch.setattr("safetensors.torch.save", full)
    with pytest.raises(OSError, match="No space left"):
        write_trained(tmp_path / "kept", some_encoder())
    with pytest.raises(OSError, match="No space left"):
        write_trained(tmp_path / "other", some_encoder())
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    assert is_kept(tmp_path / "kept")
