"""Defaults against the paper and fairseq's configuration, and what is refused."""

import pytest
from pydantic import ValidationError

from d2v_core.config import parse_trial
from d2v_core.config.speech_data import (
    SpeechEvaluation,
    SpeechFineTuning,
    SpokenDigitsData,
    WaveformConfig,
)
from d2v_core.errors import ConfigError


def test_waveforms_are_cropped_as_published():
    waveform = WaveformConfig()
    assert waveform.max_seconds * 16_000 == 320_000
    assert waveform.min_seconds * 16_000 == 32_000
    assert waveform.normalise


def test_fine_tuning_is_fairseqs_for_ten_hours():
    config = SpeechFineTuning()
    assert (config.num_steps, config.learning_rates) == (20_000, (5e-5,))
    assert (config.decay, config.warmup, config.hold) == ("tri_stage", 0.1, 0.4)
    assert (config.final_scale, config.beta2, config.weight_decay) == (0.05, 0.98, 0.0)
    assert config.freeze * config.num_steps == 10_000
    assert (config.time_mask, config.time_mask_length) == (0.65, 10)
    assert (config.channel_mask, config.channel_mask_length) == (0.5, 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data": {"source": "spoken_digits", "min_digits": 4, "max_digits": 3}},
            "data.max_digits: must be at least min_digits (4), got 3",
        ),
        (
            {"evaluation": {"method": "none"}},
            "evaluation.utterance_label: must name a kind of label where "
            "evaluation.method is none, got None",
        ),
        (
            {"data": {"source": "librispeech", "test": "test-othr"}},
            "data.test: must be one of dev-clean, dev-other, test-clean, test-other, "
            "train-clean-100, train-clean-360, train-other-500, got 'test-othr'; did "
            "you mean 'test-other'?",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_path(changes, message):
    with pytest.raises(ConfigError) as caught:
        parse_trial({"modality": "speech", **changes})
    assert str(caught.value) == message


def test_sections_are_frozen():
    with pytest.raises(ValidationError):
        SpeechEvaluation().beam_width = 3  # type: ignore[misc]


def test_the_synthetic_digits_need_no_root():
    assert SpokenDigitsData().source == "spoken_digits"
