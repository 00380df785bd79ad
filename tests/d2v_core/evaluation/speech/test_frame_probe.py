"""Frame probes where the answer is known, and what they read."""

import numpy as np
import pytest
import torch

from d2v_core.config.speech_data import SpeechEvaluation
from d2v_core.data.speech.alignment import NO_WORD, Alignment, Spans
from d2v_core.evaluation.speech import frame_probe
from d2v_core.evaluation.speech.frame_probe import AlignedFrames, probe_frames

WINDOWS = [(2, 1)]
"""The centre of frame i is sample i + 1."""
PHONES, WORDS = ("silence", "a", "b", "c"), ("ONE", "TWO")
CONFIG = SpeechEvaluation(l2_grid=(1e-5, 1e-3))


def aligned(num_utterances, made, seed) -> AlignedFrames:
    """Frames of 11 samples each: silence, then words of two phones."""
    generator = np.random.default_rng(seed)
    spans, frames = [], []
    for _ in range(num_utterances):
        word = generator.integers(2, size=2)
        phones = np.array([0, word[0] + 1, word[0] + 2, word[1] + 1, word[1] + 2])
        ends = np.cumsum(generator.integers(2, 6, 5))
        words = np.array([NO_WORD, word[0], word[0], word[1], word[1]])
        spans.append(Spans(ends, phones, words))
        frames.append(made(spans[-1], int(ends[-1]) - 1, generator))
    return AlignedFrames(frames, Alignment(PHONES, WORDS, tuple(spans)), WINDOWS)


def at_centres(spans, count):
    durations = np.diff(spans.ends, prepend=0)
    by_sample = np.repeat(np.arange(len(spans.ends)), durations)
    return by_sample[1 : count + 1]


def telling(spans, count, generator):
    at = at_centres(spans, count)
    both = np.stack([np.eye(4)[spans.phones[at]], np.eye(4)[spans.words[at] + 1]], 1)
    return torch.from_numpy(both.reshape(count, 8)).float()


def noise(spans, count, generator):
    return torch.from_numpy(generator.standard_normal((count, 8))).float()


def probed(made, config=CONFIG, seed=0, num_draws=3):
    splits = [aligned(size, made, s) for s, size in enumerate((40, 20, 60))]
    draws = [np.arange(r, 40, 2) for r in range(num_draws)]
    return probe_frames(*splits, draws, config, seed=seed)


def test_features_that_hold_the_labels_are_read_without_a_mistake():
    result = probed(telling)
    for name in ("phone", "word_frame"):
        assert result.metrics[f"eval/{name}_accuracy"] == 100.0
        assert result.metrics[f"eval/{name}_validation_accuracy"] == 100.0
        assert result.metrics[f"eval/{name}_accuracy_draw_sd"] == 0.0
        assert result.draws[f"eval/{name}_accuracy"] == (100.0,) * 3
    assert result.choices == {"evaluation.phone_l2": 1e-3, "evaluation.word_l2": 1e-3}


def test_noise_is_read_at_chance():
    result = probed(noise)
    assert result.metrics["eval/word_frame_accuracy"] == pytest.approx(50, abs=6)
    # The commonest phone, b, is in both words: two fifths of the frames.
    assert 30 < result.metrics["eval/phone_accuracy"] < 46


def test_silence_is_a_phone_but_no_word():
    frames = aligned(5, telling, 0)
    phones, words = frames.labelled("phone"), frames.labelled("word")
    assert len(phones[0]) == sum(len(one) for one in frames.frames)
    assert len(words[0]) == int((phones[1] != 0).sum())
    assert int(words[1].min()) == 0
    picked, _ = frames.labelled("phone", np.array([2]))
    assert torch.equal(picked, frames.frames[2])


def test_no_more_frames_are_fitted_than_the_bound(monkeypatch):
    seen = []
    fit = frame_probe.fit_logistic

    def record(draws, strengths, **options):
        seen.append(draws.features)
        return fit(draws, strengths, **options)

    monkeypatch.setattr(frame_probe, "fit_logistic", record)
    few = SpeechEvaluation(l2_grid=(1e-3,), max_frames=50)
    for seed in (0, 0, 1):
        probed(noise, few, seed=seed)
    assert {tuple(features.shape) for features in seen} == {(3, 50, 8)}
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[4])


def test_a_single_draw_has_no_spread():
    result = probed(telling, num_draws=1)
    assert not any(name.endswith("_draw_sd") for name in result.metrics)
    assert result.draws["eval/phone_accuracy"] == (100.0,)
