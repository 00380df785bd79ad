import pytest

from d2v_core.config import parse_trial
from d2v_core.config.speech import SpeechTrial
from d2v_core.errors import ConfigError
from d2v_core.frames import num_frames
from tests.d2v_core.small import merged


def parsed(**changes):
    return parse_trial(merged({"modality": "speech"}, changes))


def test_the_defaults_are_the_published_base_encoder_and_masks():
    trial = parsed()
    assert isinstance(trial, SpeechTrial)
    front_end = trial.speech.front_end
    assert front_end.channels == 512
    assert front_end.layers == ((10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2)
    assert front_end.norm == "layer"
    speech = trial.speech
    assert (speech.width, speech.depth, speech.num_heads) == (768, 12, 12)
    assert (speech.dropout, speech.attention_dropout, speech.layerdrop) == (
        *(0.1, 0.1),
        0.05,
    )
    assert speech.activation_dropout == 0.0
    positions = (speech.position_layers, speech.position_kernel, speech.position_groups)
    assert positions == (5, 19, 16)
    assert speech.norm == "post"
    mask = trial.mask
    assert (mask.probability, mask.span, mask.same_count) == (0.65, 10, True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"speech": {"position_groups": 7}},
            "speech.position_groups: must divide speech.width (768), got 7",
        ),
        (
            {"speech": {"num_heads": 7}},
            "speech.num_heads: must divide speech.width (768), got 7",
        ),
        (
            {"waveform": {"max_seconds": 1.0}},
            "waveform.min_seconds: must be at most waveform.max_seconds (1), got 2",
        ),
        (
            {"waveform": {"max_seconds": 0.04, "min_seconds": 0.0}},
            "waveform.max_seconds: must give 2 frames (0.045 s), got 0.04",
        ),
        (
            {"waveform": {"max_seconds": 2.0}, "mask": {"kind": "span", "span": 99}},
            "mask.span: must be below the 99 frames of waveform.max_seconds, got 99",
        ),
        (
            {"objective": {"kind": "supervised", "label_smoothing": 0.1}},
            "objective.label_smoothing: is for classes; must be 0 for speech, whose "
            "criterion is CTC, got 0.1",
        ),
        (
            {"target": {"top_k": 13}},
            "target.top_k: must be at most the encoder's depth (12), got 13",
        ),
        (
            {"speech": {"front_end": {"kind": "log_mel", "channels": 64}}},
            "speech.front_end.channels: unknown setting; known here: kind, num_mels",
        ),
        (
            {"speech": {"front_end": {"kind": "patches", "patch_samples": 0}}},
            "speech.front_end.patch_samples: must be greater than or equal to 16, "
            "got 0",
        ),
        (
            {
                "speech": {"front_end": {"kind": "patches", "patch_samples": 20_000}},
                "waveform": {"max_seconds": 2.0},
            },
            "waveform.max_seconds: must give 2 frames (2.5 s), got 2",
        ),
        (
            {"mask": {"kind": "random", "probability": 0.5}},
            "mask.probability: unknown setting; known here: kind, ratio",
        ),
        (
            {"speech": {"front_end": {"kind": "wav2vec2", "layers": [[10, 0]]}}},
            "speech.front_end.layers.0.1: must be greater than or equal to 1, got 0",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(changes, says):
    with pytest.raises(ConfigError) as refused:
        parsed(**changes)
    assert says in str(refused.value).splitlines()


def test_a_span_that_just_fits_is_accepted():
    changes = {"waveform": {"max_seconds": 2.0}, "mask": {"kind": "span", "span": 98}}
    assert parsed(**changes).mask.span == 98


def test_patches_are_20_ms_and_as_many_as_other_frames():
    trial = parsed(speech={"front_end": {"kind": "patches"}})
    assert trial.speech.front_end.windows == ((320, 320),)
    assert num_frames(16_000, trial.speech.front_end.windows) == 50


def test_layers_come_as_lists_as_yaml_has_them():
    front_end = {"kind": "wav2vec2", "layers": [[10, 5], [3, 2]]}
    trial = parsed(speech={"front_end": front_end})
    assert trial.speech.front_end.windows == ((10, 5), (3, 2))
