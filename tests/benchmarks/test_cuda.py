"""Only that both scripts run, on the CPU, where nothing can disagree with itself."""

import pytest
import torch

from benchmarks import cuda_check, cuda_speed


@pytest.fixture(autouse=True)
def same_threads_afterwards():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_every_objective_is_compared_and_a_trial_ends(capsys, monkeypatch):
    few = {"data2vec 2.0": cuda_check.OF_ALL["data2vec 2.0"]}
    monkeypatch.setattr(cuda_check, "OF_ALL", few)
    options = ["compare", "train", "--device", "cpu", "--steps", "4"]
    with pytest.raises(SystemExit) as end:
        cuda_check.main([*options, "--modality", "vision"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "10 of 10 hold"
    assert all(" ok " in line for line in lines[:-1])


def test_a_difference_is_seen(monkeypatch):
    trial = cuda_check.trial_of("vision-smoke", "training.batch_size=4")
    right = cuda_check.one_update(trial, cuda_check.CPU)
    loss, gradients = right
    name = next(iter(gradients))
    changed = {**gradients, name: gradients[name] * 1.01}
    given = iter([right, (loss, changed), right])
    monkeypatch.setattr(cuda_check, "one_update", lambda *unused: next(given))
    found = cuda_check.compare(trial, cuda_check.CPU)
    assert not found.holds
    assert found.worst == name
    assert found.gradients == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("modality", ["vision", "speech", "text"])
def test_an_update_is_timed(capsys, modality):
    settings = ["--set", "training.batch_size=4"]
    options = ["time", "--recipe", f"{modality}-smoke", "--device", "cpu"]
    cuda_speed.main([*options, "--updates", "1", "--peak", "1", *settings])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{modality}-smoke on cpu")
    assert [line.split(" ")[0] for line in lines[1:3]] == ["plain", "an"]
    assert "TFLOP/s counted" in lines[3]


def test_without_a_gpu_both_say_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for run, stage in ((cuda_check.main, "compare"), (cuda_speed.main, "time")):
        with pytest.raises(SystemExit, match="no CUDA device here"):
            run([stage])
