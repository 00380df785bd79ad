"""The loss against torch's for each utterance, the probe, and fine-tuning's masks."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from d2v_core.config.speech_data import CtcProbeConfig, SpeechFineTuning
from d2v_core.encoders.encoder import Tokens
from d2v_core.encoders.inputs import Padded
from d2v_core.evaluation.speech.ctc import ctc_criterion, ctc_loss, num_real
from d2v_core.evaluation.speech.ctc_decoding import best_path
from d2v_core.evaluation.speech.ctc_fine_tuning import draw_time_mask, mask_channels
from d2v_core.evaluation.speech.ctc_probe import fit_ctc_probes


def padded_labels(*rows) -> Padded:
    longest = max(map(len, rows))
    values = torch.tensor([list(row) + [0] * (longest - len(row)) for row in rows])
    return Padded(values, tuple(map(len, rows)))


def alone(logits, row) -> float:
    """-log p of one utterance."""
    return float(
        F.ctc_loss(
            logits.float().log_softmax(1)[:, None],
            torch.tensor([row]),
            torch.tensor([len(logits)]),
            torch.tensor([len(row)]),
            reduction="sum",
        )
    )


def test_the_loss_is_the_mean_over_utterances_of_their_own_frames():
    torch.manual_seed(0)
    logits = torch.randn(2, 9, 5)
    labels = padded_labels([1, 2, 2], [4])
    loss = ctc_loss(logits, (9, 6), labels)
    expected = (alone(logits[0], [1, 2, 2]) + alone(logits[1, :6], [4])) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_half_precision_is_lifted_and_impossible_utterances_add_nothing():
    logits = torch.randn(2, 3, 4)
    labels = padded_labels([1, 1, 1, 2], [3])
    loss = ctc_loss(logits.bfloat16(), (3, 3), labels)
    assert loss.dtype == torch.float32
    expected = alone(logits[1].bfloat16(), [3]) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_criterion_reads_real_frames_only():
    torch.manual_seed(1)
    tokens = torch.randn(2, 6, 8)
    real = torch.arange(6) < torch.tensor([[6], [4]])
    labels = padded_labels([1, 2], [2])
    classifier = nn.Linear(8, 3)
    loss, found = ctc_criterion()(classifier, tokens, real, labels)
    changed = tokens.clone()
    changed[1, 4:] = 99.0
    again, _ = ctc_criterion()(classifier, changed, real, labels)
    value = loss.item()
    assert again.item() == pytest.approx(value)
    assert ctc_loss(classifier(tokens), (6, 4), labels).item() == pytest.approx(value)
    total, characters = found["train/loss_per_character"].tolist()
    assert (total, characters) == (pytest.approx(2 * value), 3.0)
    loss.backward()
    assert classifier.weight.grad is not None
    assert num_real(tokens, None).tolist() == [6, 6]


def separable(num_utterances=40, seed=0):
    """Each class is a direction; blanks stand between characters."""
    generator = np.random.default_rng(seed)
    directions = 5.0 + 3.0 * generator.standard_normal((4, 12))
    frames, rows = [], []
    for _ in range(num_utterances):
        row = generator.integers(1, 4, generator.integers(1, 5)).tolist()
        path = [c for label in row for c in (0, label, label)] + [0]
        noise = 0.1 * generator.standard_normal((len(path), 12))
        frames.append(torch.from_numpy(directions[path] + noise).float())
        rows.append(row)
    return frames, padded_labels(*rows), rows


CONFIG = CtcProbeConfig(num_steps=60, batch_size=8, learning_rates=(0.1, 1e-4))


def fit_alone(frames, labels, config, seed=0):
    draws = [np.arange(len(frames))]
    (probes,) = fit_ctc_probes(frames, labels, draws, config, num_classes=4, seed=seed)
    return probes


def test_a_probe_learns_what_is_linear():
    frames, labels, rows = separable()
    probes = fit_alone(frames, labels, CONFIG)
    assert [probe.learning_rate for probe in probes] == [1e-4, 0.1]
    heard = [best_path(probes[1].log_probs(one)) for one in frames]
    assert sum(a == b for a, b in zip(heard, rows, strict=True)) >= 38
    log_probs = probes[1].log_probs(frames[0])
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1.0)


def test_rates_trained_together_are_as_trained_alone():
    frames, labels, _ = separable(12)
    short = CtcProbeConfig(num_steps=20, batch_size=8, learning_rates=(0.03, 0.1))
    together = fit_alone(frames, labels, short, seed=3)
    for rate, probe in zip((0.03, 0.1), together, strict=True):
        config = CtcProbeConfig(num_steps=20, batch_size=8, learning_rates=(rate,))
        (one,) = fit_alone(frames, labels, config, seed=3)
        torch.testing.assert_close(probe.weight, one.weight, atol=1e-4, rtol=1e-3)


def test_draws_trained_together_are_as_trained_alone():
    frames, labels, _ = separable(30)
    config = CtcProbeConfig(num_steps=20, batch_size=8, learning_rates=(0.03, 0.1))
    draws = [np.arange(12), np.arange(3, 27, 2), np.arange(18, 30)]
    together = fit_ctc_probes(frames, labels, draws, config, num_classes=4, seed=3)
    for draw, probes in zip(draws, together, strict=True):
        rows = torch.from_numpy(draw)
        own = Padded(labels.values[rows], tuple(labels.lengths[i] for i in draw))
        alone = fit_alone([frames[i] for i in draw], own, config, seed=3)
        for probe, one in zip(probes, alone, strict=True):
            assert probe.learning_rate == one.learning_rate
            for name in ("weight", "bias", "mean", "deviation"):
                found, expected = getattr(probe, name), getattr(one, name)
                torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_the_probe_is_a_function_of_its_seed():
    frames, labels, _ = separable(12)
    config = CtcProbeConfig(num_steps=5, batch_size=4, learning_rates=(0.1,))
    weights = [
        fit_alone(frames, labels, config, seed=seed)[0].weight for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def features() -> Tokens:
    return Tokens(torch.ones(2, 40, 128))


def test_masks_of_fine_tuning_cover_what_was_asked_for():
    config = SpeechFineTuning(channel_mask_length=16)
    masked = mask_channels(features(), config, seed=0, step=1)
    hidden = masked.values == 0
    assert torch.equal(hidden[:, :1].expand_as(hidden), hidden)  # whole channels
    assert 0.2 < float(hidden.float().mean()) < 0.6
    assert not torch.equal(hidden[0], hidden[1])
    mask = draw_time_mask((400, 300), config, seed=0, step=1)
    assert mask is not None
    assert mask.shape == (2, 400)
    assert not mask[1, 300:].any()
    assert 0.3 < float(mask[1, :300].float().mean()) < 0.65
    again = draw_time_mask((400, 300), config, seed=0, step=1)
    assert again is not None
    assert torch.equal(mask, again)
    other = draw_time_mask((400, 300), config, seed=0, step=2)
    assert other is not None
    assert not torch.equal(mask, other)


def test_masks_can_be_switched_off():
    config = SpeechFineTuning(time_mask=0.0, channel_mask=0.0)
    assert draw_time_mask((40,), config, seed=0, step=1) is None
    given = features()
    assert mask_channels(given, config, seed=0, step=1) is given
