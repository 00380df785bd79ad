"""Whole speech trials, from configuration to result."""

import pytest
import torch

from d2v_core.training.events import CheckpointDue, Finished, Progress
from d2v_core.trial import run_trial
from tests.d2v_core.small_speech import (
    LOG_MEL,
    PATCHES,
    SPEECH_RANDOM,
    small_speech_dataset,
    small_speech_trial,
)

ARMS = {
    "data2vec": {},
    "log mel": LOG_MEL,
    "patches": PATCHES,
    "random masks": {"mask": {"kind": "random", "ratio": 0.5}},
    "group norm, pre-norm": {
        "speech": {
            "norm": "pre",
            "front_end": {"kind": "wav2vec2", "channels": 8, "norm": "group"},
        },
        "waveform": {"max_seconds": 0.5},
    },
    "supervised": {"objective": {"kind": "supervised"}},
}


def run(*changes, **options):
    trial = small_speech_trial(*changes)
    return list(run_trial(trial, dataset=small_speech_dataset(), **options))


class Run:
    def __init__(self, events):
        self.events = events
        self.progress = [
            (e.step, timeless(e.metrics)) for e in events if isinstance(e, Progress)
        ]
        assert isinstance(events[-1], Finished)
        self.results = timeless(events[-1].metrics)
        states = [e.state for e in events if isinstance(e, CheckpointDue)]
        self.state = states[-1]

    def tensors(self):
        yield from self.state.objective.module.state_dict().values()
        yield from self.state.objective.extra_state().values()
        for moments in self.state.optimizer.state_dict()["state"].values():
            yield from moments.values()


def timeless(metrics):
    return {k: v for k, v in metrics.items() if not k.startswith("cost/")}


@pytest.mark.parametrize(
    ("arm", "step"),
    [("data2vec", 1), ("data2vec", 4), ("log mel", 3), ("supervised", 2)],
)
def test_a_resumed_trial_cannot_be_told_from_an_uninterrupted_one(arm, step, tmp_path):
    changes = [SPEECH_RANDOM, ARMS[arm]]
    whole = Run(run(*changes))
    trial = small_speech_trial(*changes)
    interrupted = run_trial(trial, dataset=small_speech_dataset())
    for event in interrupted:
        if isinstance(event, CheckpointDue) and event.state.step == step:
            event.save(tmp_path / "checkpoint.pt")
            interrupted.close()
    torch.manual_seed(12345)  # another process has another global state
    rest = Run(run(*changes, checkpoint=tmp_path / "checkpoint.pt"))
    assert rest.progress == whole.progress[step:]
    assert rest.results == whole.results
    for ours, theirs in zip(rest.tensors(), whole.tensors(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_runs_and_is_evaluated(arm):
    finished = run(SPEECH_RANDOM, ARMS[arm])[-1]
    assert (finished.status, finished.step) == ("finished", 6)
    assert finished.metrics["eval/word_error_rate"] >= 0.0


def test_an_untrained_encoder_is_evaluated():
    finished = run({"objective": {"kind": "untrained"}})[-1]
    assert finished.step == 0
    assert "eval/word_error_rate" in finished.metrics


def test_a_checkpoint_says_how_waveforms_are_prepared():
    for normalise in (True, False):
        events = run({"waveform": {"normalise": normalise}})
        state = Run(events).state
        expected = {"sample_rate_hz": 16_000, "normalise": normalise}
        assert dict(state.preprocessing) == expected
