"""The protocol on tiny synthetic speech."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from d2v_core.build import build_encoder
from d2v_core.config import parse_trial
from d2v_core.config.speech_data import (
    SpeechEvaluation,
    SpokenDigitsData,
    WaveformConfig,
)
from d2v_core.data.speech.dataset import load_speech, pad_waves, prepared
from d2v_core.data.speech.utterances import SpeechDataset
from d2v_core.encoders.encoder import Collect
from d2v_core.errors import ConfigError, DataError
from d2v_core.evaluation.speech import ctc_fine_tuning, recognition
from d2v_core.evaluation.speech.ctc_fine_tuning import CONVOLUTIONS, fine_tune_ctc
from d2v_core.evaluation.speech.evaluate import check_labels, evaluate_speech
from d2v_core.evaluation.speech.frames import encode_frames
from d2v_core.evaluation.speech.recognition import spell
from d2v_core.randomness import numpy_generator
from tests.d2v_core.small import fill_with_noise, merged

TINY = {
    "modality": "speech",
    "speech": {
        "front_end": {"kind": "log_mel", "num_mels": 8},
        "width": 16,
        "depth": 2,
        "num_heads": 2,
        "mlp_ratio": 2.0,
        "position_layers": 1,
        "position_kernel": 5,
        "position_groups": 2,
    },
    "target": {"top_k": 2},
}
CONVOLUTIONAL = {
    "speech": {
        "front_end": {
            "kind": "wav2vec2",
            "channels": 4,
            "layers": [[10, 5], [8, 8], [8, 8]],
        }
    }
}
PROBE = {"num_steps": 15, "batch_size": 8, "learning_rates": (0.03, 0.1)}
TUNING = {
    "num_steps": 4,
    "batch_size": 4,
    "learning_rates": (1e-3,),
    "channel_mask_length": 4,
}


def tiny_encoder(*changes):
    data = TINY
    for change in changes:
        data = merged(data, change)
    return build_encoder(parse_trial(data))


@pytest.fixture
def encoder():
    encoder = tiny_encoder()
    fill_with_noise(encoder)
    return encoder.train()


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> SpeechDataset:
    data = SpokenDigitsData(content="single", num_train=40, num_valid=20, num_test=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("D2V_CACHE", str(tmp_path_factory.mktemp("speech")))
        return load_speech(data)


def evaluation(**changes) -> SpeechEvaluation:
    small = {"ctc_probe": PROBE, "fine_tuning": TUNING, "beam_width": 3}
    given = {**small, "frame_labels": "none", **changes}
    trial = parse_trial({**TINY, "evaluation": given})
    assert isinstance(trial.evaluation, SpeechEvaluation)
    return trial.evaluation


RECOGNITION = {
    "eval/word_error_rate",
    "eval/word_error_rate_greedy",
    "eval/character_error_rate",
    "eval/word_validation_error_rate",
    "eval/rankme",
}


@pytest.mark.parametrize("method", ["probe", "fine_tune"])
def test_recognition_gives_rates_and_the_chosen_learning_rate(encoder, digits, method):
    before = {name: p.clone() for name, p in encoder.named_parameters()}
    result = evaluate_speech(encoder, digits, evaluation(method=method), seed=0)
    assert set(result.metrics) == RECOGNITION
    assert all(value >= 0 for value in result.metrics.values())
    section = "ctc_probe" if method == "probe" else "fine_tuning"
    (chosen,) = result.choices
    assert chosen == f"evaluation.{section}.learning_rate"
    assert encoder.training
    for name, parameter in encoder.named_parameters():
        assert torch.equal(parameter, before[name])
    again = evaluate_speech(encoder, digits, evaluation(method=method), seed=0)
    assert again.metrics == result.metrics


def test_utterances_are_classified_from_their_mean_frame(encoder, digits):
    config = evaluation(method="none", utterance_label="digit", l2_grid=[0.1])
    result = evaluate_speech(encoder, digits, config, seed=0)
    assert set(result.metrics) == {
        "eval/linear_accuracy",
        "eval/linear_validation_accuracy",
        "eval/knn_accuracy",
        "eval/rankme",
    }
    both = evaluate_speech(
        encoder, digits, evaluation(utterance_label="digit", l2_grid=[0.1]), seed=0
    )
    assert set(both.metrics) == RECOGNITION | set(result.metrics)
    assert result.metrics.items() <= both.metrics.items()


def test_the_choice_is_made_on_the_validation_split(encoder, digits):
    other = replace(digits, test=digits.test.subset(np.arange(3)))
    first = evaluate_speech(encoder, digits, evaluation(), seed=0)
    second = evaluate_speech(encoder, other, evaluation(), seed=0)
    assert first.choices == second.choices
    name = "eval/word_validation_error_rate"
    assert first.metrics[name] == second.metrics[name]


def test_labelled_utterances_are_drawn_with_the_seed(encoder, digits, monkeypatch):
    seen = []
    fit = recognition.fit_ctc_probes

    def record(frames, labels, draws, config, **options):
        seen.append(labels.values[torch.from_numpy(draws[0])].tolist())
        return fit(frames, labels, draws, config, **options)

    monkeypatch.setattr(recognition, "fit_ctc_probes", record)
    for seed in (0, 0, 1):
        evaluate_speech(encoder, digits, evaluation(num_labels=10), seed=seed)
    assert len(seen[0]) == 10
    assert seen[0] == seen[1] != seen[2]


def test_a_rate_over_draws_is_the_mean_of_those_of_single_draws(encoder, digits):
    """The pool, the other draws and their order change nothing."""
    config = evaluation(num_labels=10, num_label_draws=3)
    result = evaluate_speech(encoder, digits, config, seed=0)
    for name in ("eval/word_error_rate", "eval/character_error_rate"):
        scores = result.draws[name]
        assert len(scores) == 3
        assert result.metrics[name] == pytest.approx(np.mean(scores))
        spread = np.std(scores, ddof=1)
        assert result.metrics[f"{name}_draw_sd"] == pytest.approx(spread)
    for r in range(3):
        generator = numpy_generator(0, "labels", r)
        drawn = np.sort(generator.choice(len(digits.train), 10, replace=False))
        alone = replace(digits, train=digits.train.subset(drawn))
        alone = replace(alone, classes=digits.classes)
        single = evaluate_speech(encoder, alone, evaluation(), seed=0)
        for name in ("eval/word_error_rate", "eval/character_error_rate"):
            assert single.metrics[name] == pytest.approx(result.draws[name][r])


def test_draws_are_as_many_as_asked_for_and_the_layer_has_a_bound(encoder, digits):
    probe = {**PROBE, "max_label_draws": 2}
    asked = {"num_labels": 10, "num_label_draws": 3, "ctc_probe": probe}
    config = evaluation(utterance_label="digit", l2_grid=[0.1], **asked)
    result = evaluate_speech(encoder, digits, config, seed=0)
    counts = {name: len(scores) for name, scores in result.draws.items()}
    assert counts["eval/word_error_rate"] == 2
    assert counts["eval/linear_accuracy"] == counts["eval/knn_accuracy"] == 3
    result = evaluate_speech(encoder, digits, evaluation(), seed=0)
    assert set(result.metrics) == RECOGNITION
    assert result.draws == {}  # all labels: nothing is drawn


def test_frames_are_classified_where_their_labels_are_known(encoder, digits):
    asked = {"num_labels": 10, "num_label_draws": 2, "l2_grid": [0.1, 0.01]}
    config = evaluation(method="none", frame_labels="required", **asked)
    result = evaluate_speech(encoder, digits, config, seed=0)
    assert set(result.metrics) == {
        "eval/phone_accuracy",
        "eval/phone_accuracy_draw_sd",
        "eval/phone_validation_accuracy",
        "eval/word_frame_accuracy",
        "eval/word_frame_accuracy_draw_sd",
        "eval/word_frame_validation_accuracy",
        "eval/rankme",
    }
    assert set(result.choices) == {"evaluation.phone_l2", "evaluation.word_l2"}
    again = evaluate_speech(encoder, digits, config, seed=0)
    assert again.metrics == result.metrics
    known = evaluation(frame_labels="where_known", **asked)
    both = evaluate_speech(encoder, digits, known, seed=0)
    assert result.metrics.items() <= both.metrics.items()
    for_real = replace(digits, test=replace(digits.test, alignment=None))
    less = evaluate_speech(encoder, for_real, known, seed=0)
    assert not any("phone" in name or "frame" in name for name in less.metrics)
    with pytest.raises(ConfigError) as caught:
        check_labels(for_real, config)
    assert str(caught.value) == (
        "evaluation.frame_labels: must be where_known or none unless the data knows "
        "when each phone is said, as spoken_digits does; test does not, got required"
    )


def test_more_labels_than_there_are_are_refused(digits):
    with pytest.raises(ConfigError) as caught:
        check_labels(digits, evaluation(num_labels=41))
    assert str(caught.value) == (
        "evaluation.num_labels: must be at most the labelled training samples, or null "
        "for all; train has 40, got 41"
    )


def test_utterances_that_pre_training_left_out_are_noted(encoder, digits):
    config = evaluation(method="none", utterance_label="voice", l2_grid=[0.1])
    waveform = WaveformConfig(min_seconds=0.4)
    result = evaluate_speech(encoder, digits, config, seed=0, waveform=waveform)
    short = int((digits.train.audio.lengths < 0.4 * 16_000).sum())
    expected = f"pre-training left out {short} of 40 below waveform.min_seconds (0.4)"
    assert expected in result.notes


def test_frames_come_in_order_without_padding_whatever_the_batch(
    encoder, digits, monkeypatch
):
    waveform = WaveformConfig()
    frames = encode_frames(encoder, digits.test, waveform)
    monkeypatch.setattr("d2v_core.evaluation.speech.frames.MAX_BATCH", 1)
    alone = encode_frames(encoder, digits.test, waveform)
    assert len(frames) == len(digits.test.audio.lengths) > 1
    for i, (a, b) in enumerate(zip(frames, alone, strict=True)):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
        expected = (int(digits.test.audio.lengths[i]) - 400) // 320 + 1
        assert len(a) == expected


def test_without_transcripts_or_labels_the_protocol_is_refused(digits):
    silent = replace(digits, train=replace(digits.train, texts=None))
    with pytest.raises(ConfigError) as caught:
        check_labels(silent, evaluation(utterance_label="age"))
    assert str(caught.value).splitlines() == [
        "evaluation.method: probe needs transcripts, train has none; set it to none "
        "and name an evaluation.utterance_label: digit, speaker, voice",
        "evaluation.utterance_label: must be one of digit, speaker, voice, got 'age'",
    ]
    with pytest.raises(DataError, match="every speaker of valid must also stand in"):
        check_labels(digits, evaluation(utterance_label="speaker"))


def test_frames_can_be_the_mean_of_blocks(encoder, digits):
    waveform = WaveformConfig()
    some = digits.test.subset(np.arange(3))
    (inputs,) = [pad_waves([prepared(some.audio.read(i), waveform) for i in range(3)])]
    encoder.eval()
    with torch.no_grad():
        collect = Collect(2, ("block",))
        both = encoder.encode(encoder.embed(inputs), collect=collect).layers["block"]
    expected = (both[0] + both[1]) / 2
    for i, row in enumerate(encode_frames(encoder, some, waveform, num_layers=2)):
        torch.testing.assert_close(row, expected[i, : len(row)], atol=1e-4, rtol=1e-4)
    one = evaluate_speech(encoder, digits, evaluation(), seed=0)
    two = evaluate_speech(encoder, digits, evaluation(num_layers=2), seed=0)
    assert one.metrics["eval/rankme"] != two.metrics["eval/rankme"]


def test_words_are_spelt_with_single_spaces():
    classes = ("<blank>", "|", "A", "B")
    assert spell([1, 2, 1, 1, 3, 3, 1], classes) == "A BB"
    assert spell([], classes) == ""


@pytest.mark.parametrize("frozen", [True, False])
def test_fine_tuning_trains_everything_but_frozen_convolutions(digits, frozen):
    encoder = tiny_encoder(CONVOLUTIONAL)
    config = evaluation(
        fine_tuning={**TUNING, "freeze_features": frozen, "freeze": 0.5}
    ).fine_tuning
    tuned = fine_tune_ctc(
        encoder, digits, config, WaveformConfig(), lambda network, head: 0.0, seed=0
    )
    before, after = (
        dict(encoder.named_parameters()),
        dict(tuned.encoder.named_parameters()),
    )
    convolutions = [name for name in before if name.startswith(CONVOLUTIONS)]
    assert convolutions
    for name in before:
        changed = not torch.equal(before[name], after[name])
        if name.startswith(CONVOLUTIONS):
            assert changed == (not frozen), name
        elif "front_end" in name:
            assert changed, name


def test_fine_tuning_learns_single_digits(digits, monkeypatch):
    """The loss falls: masks, lengths and labels fit together."""
    losses = []
    loss = ctc_fine_tuning.ctc_loss

    def record(*arguments):
        result = loss(*arguments)
        losses.append(float(result.detach()))
        return result

    monkeypatch.setattr(ctc_fine_tuning, "ctc_loss", record)
    tuning = {**TUNING, "num_steps": 40, "freeze": 0, "learning_rates": [1e-2]}
    config = evaluation(fine_tuning=tuning).fine_tuning
    waveform = WaveformConfig()
    fine_tune_ctc(tiny_encoder(), digits, config, waveform, lambda *_: 0.0, seed=0)
    assert np.mean(losses[-5:]) < 0.6 * losses[0]


def in_other_letters(dataset, change):
    test = dataset.test
    texts = tuple(change(text) for text in test.texts)
    return replace(dataset, test=replace(test, texts=texts))


def test_transcripts_in_the_other_case_are_refused_beforehand(digits):
    given = digits.test.texts[0]
    swapped = in_other_letters(digits, str.swapcase)
    with pytest.raises(DataError) as caught:
        check_labels(swapped, evaluation())
    assert "100% of those of test do not; they stand there in the other case: " in str(
        caught.value
    )
    assert given.swapcase()[0] in str(caught.value)
    labels = evaluation(method="none", utterance_label="digit")
    check_labels(swapped, labels)  # nobody reads the letters


def test_a_foreign_letter_or_two_are_no_reason_to_refuse(digits):
    check_labels(in_other_letters(digits, lambda text: text + "\u00e9"), evaluation())


def test_one_label_is_nothing_to_tell_apart(digits):
    train = digits.train
    same = replace(train, labels={**train.labels, "digit": ("ONE",) * len(train)})
    asked = evaluation(method="none", utterance_label="digit")
    with pytest.raises(DataError, match="at least 2 different labels of kind digit"):
        check_labels(replace(digits, train=same), asked)


def test_training_transcripts_without_a_letter_are_refused(digits):
    silent = replace(digits.train, texts=("",) * len(digits.train))
    with pytest.raises(DataError, match="transcripts of train must hold letters"):
        check_labels(replace(digits, train=silent), evaluation())
