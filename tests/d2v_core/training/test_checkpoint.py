from random import Random

import pytest
import torch

from d2v_core.build import build_objective
from d2v_core.errors import ConfigError
from d2v_core.training.checkpoint import (
    TrainingState,
    load_checkpoint,
    resume,
    save_checkpoint,
    snapshot,
    write_checkpoint,
)
from d2v_core.training.health import Collapse
from d2v_core.training.optimizer import build_optimizer
from tests.d2v_core.data.test_cache import torn
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.updates import update


def make_state(*changes):
    trial = small_trial(*changes)
    objective = build_objective(trial, num_classes=3)
    optimizer = build_optimizer(objective.module, trial.optimizer)
    return TrainingState(objective=objective, optimizer=optimizer)


def trained_state():
    state = make_state()
    fill_with_noise(state.objective.module, seed=1)
    fill_with_noise(state.objective.network("teacher"), seed=2)
    images = torch.randn(4, 1, 8, 8)
    for step in (1, 2):
        update(state.objective, images, torch.zeros(4), step).loss.backward()
        state.optimizer.step()
        state.objective.after_update(step)
    state.step, state.seconds = 2, 12.5
    return state


def same_tensors(a, b):
    assert set(a) == set(b)
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_everything_comes_back(tmp_path):
    state, restored = trained_state(), make_state()
    state.collapse = Collapse(2, "target/std", 0.01, 0.1)
    save_checkpoint(tmp_path / "new" / "checkpoint.pt", state)
    load_checkpoint(tmp_path / "new" / "checkpoint.pt", restored)
    assert (restored.step, restored.seconds) == (2, 12.5)
    assert restored.collapse == state.collapse
    same_tensors(
        restored.objective.module.state_dict(), state.objective.module.state_dict()
    )
    same_tensors(restored.objective.extra_state(), state.objective.extra_state())
    moments = zip(
        restored.optimizer.state_dict()["state"].values(),
        state.optimizer.state_dict()["state"].values(),
        strict=True,
    )
    for ours, theirs in moments:
        same_tensors(ours, theirs)


def test_a_snapshot_stays_as_it_was_while_training_goes_on(tmp_path):
    state, then, later = trained_state(), make_state(), make_state()
    save_checkpoint(tmp_path / "then.pt", state)
    content = snapshot(state)
    for step in (3, 4):
        images = torch.randn(4, 1, 8, 8)
        update(state.objective, images, torch.zeros(4), step).loss.backward()
        state.optimizer.step()
        state.objective.after_update(step)
        state.step = step
    write_checkpoint(tmp_path / "later.pt", content)
    load_checkpoint(tmp_path / "then.pt", then)
    load_checkpoint(tmp_path / "later.pt", later)
    assert later.step == then.step == 2
    same_tensors(
        later.objective.module.state_dict(), then.objective.module.state_dict()
    )
    same_tensors(later.objective.extra_state(), then.objective.extra_state())
    moments = zip(
        later.optimizer.state_dict()["state"].values(),
        then.optimizer.state_dict()["state"].values(),
        strict=True,
    )
    for ours, theirs in moments:
        same_tensors(ours, theirs)


def test_seconds_of_waiting_come_back_and_older_files_without_them_too(tmp_path):
    state, path = trained_state(), tmp_path / "checkpoint.pt"
    state.data_seconds = 2.5
    save_checkpoint(path, state)
    restored = make_state()
    load_checkpoint(path, restored)
    assert restored.data_seconds == 2.5
    content = torch.load(path, weights_only=True)
    del content["data_seconds"]
    torch.save(content, path)
    older = make_state()
    load_checkpoint(path, older)
    assert (older.step, older.data_seconds) == (2, 0.0)


def test_a_healthy_run_comes_back_healthy(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", trained_state())
    restored = make_state()
    load_checkpoint(tmp_path / "checkpoint.pt", restored)
    assert restored.collapse is None


def test_a_checkpoint_holds_nothing_that_can_run(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", trained_state())
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert content["step"] == 2


def test_an_interrupted_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    state = trained_state()
    save_checkpoint(path, state)
    before = path.read_bytes()

    def cut_short(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut_short)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, state)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_later_save_replaces_the_earlier(tmp_path):
    path = tmp_path / "checkpoint.pt"
    state = trained_state()
    save_checkpoint(path, state)
    state.step = 99
    save_checkpoint(path, state)
    restored = make_state()
    load_checkpoint(path, restored)
    assert restored.step == 99
    assert list(tmp_path.iterdir()) == [path]


def test_another_version_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"version": 99}, path)
    with pytest.raises(ValueError, match="version must be 1, got 99; delete the file"):
        load_checkpoint(path, make_state())


def test_a_torn_checkpoint_is_set_aside_with_a_line(tmp_path, caplog):
    path, random = tmp_path / "checkpoint.pt", Random(2022)
    state, kept = trained_state(), tmp_path / "checkpoint.pt.torn"
    save_checkpoint(path, state)
    whole, restored = path.read_bytes(), make_state()
    start = {k: v.clone() for k, v in restored.objective.module.state_dict().items()}
    for _ in range(40):
        content = torn(whole, random)
        path.write_bytes(content)
        caplog.clear()
        if content and content[:4] != whole[:4]:  # it may be anything of the user's
            with pytest.raises(ConfigError, match="must be a checkpoint that d2v"):
                resume(path, restored)
            assert path.read_bytes() == content
            continue
        resume(path, restored)
        if restored.step:  # turned where nothing is read: dates, padding
            same_tensors(
                restored.objective.module.state_dict(),
                state.objective.module.state_dict(),
            )
            restored = make_state()
            continue
        assert kept.read_bytes() == content
        assert "and the trial is trained from its start" in caplog.text
        same_tensors(restored.objective.module.state_dict(), start)


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path):
    path, state = tmp_path / "checkpoint.pt", trained_state()
    save_checkpoint(path, state)
    weight = max(state.objective.module.state_dict().values(), key=torch.numel)
    place = path.read_bytes().index(weight.numpy().tobytes())
    content = bytearray(path.read_bytes())
    content[place + 2] ^= 1
    path.write_bytes(content)
    restored = make_state()
    resume(path, restored)
    assert restored.step == 0


def test_no_checkpoint_is_a_start_and_a_whole_one_goes_on(tmp_path):
    state = make_state()
    resume(tmp_path / "checkpoint.pt", state)
    assert state.step == 0
    save_checkpoint(tmp_path / "checkpoint.pt", trained_state())
    resume(tmp_path / "checkpoint.pt", state)
    assert state.step == 2
