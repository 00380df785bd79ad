import numpy as np
import pytest

from d2v_core.config.speech_data import SpokenDigitsData
from d2v_core.data.speech.dataset import load_speech
from d2v_core.data.speech.synthesiser.phones import DIGITS, PHONES
from d2v_core.data.speech.synthesiser.spoken_digits import (
    NUM_SPEAKERS,
    draw_speakers,
    record,
    spoken_digits_digest,
)

FEW = SpokenDigitsData(num_train=24, num_valid=10, num_test=12)


@pytest.fixture(scope="module")
def recorded():
    return record(FEW, "train", 24)


WORDS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")


def test_every_sound_of_a_digit_is_known():
    assert set(DIGITS) == set(WORDS)
    assert {phone for phones in DIGITS.values() for phone in phones} <= set(PHONES)


def test_utterances_are_the_same_every_time(recorded):
    again = record(FEW, "train", 24)
    assert again.texts == recorded.texts
    assert np.array_equal(again.samples, recorded.samples)
    silent = record(FEW, "train", 24, sound=False)
    assert silent.texts == recorded.texts
    assert np.array_equal(silent.lengths, recorded.lengths)
    assert len(silent.samples) == 0


def test_golden(recorded):
    """Whoever changes these raises VERSION: results with other sounds are others."""
    assert recorded.texts[:3] == ("FOUR FOUR", "ZERO SIX EIGHT ONE", "SEVEN ONE FOUR")
    assert recorded.lengths[:3].tolist() == [14_240, 24_160, 14_800]
    power = np.sqrt(np.mean(recorded.samples.astype(np.float64) ** 2))
    assert power == pytest.approx(1877.248, rel=1e-3)


def test_speakers_of_two_splits_are_different_people(recorded):
    names = {}
    for split, count in NUM_SPEAKERS.items():
        speakers = draw_speakers(split)
        assert len(speakers) == count
        assert {s.voice for s in speakers} == {"man", "woman", "child"}
        names[split] = {speaker.name for speaker in speakers}
        scales = [s.formant_scale for s in speakers]
        assert len(set(scales)) == count
    assert len(set.union(*names.values())) == sum(NUM_SPEAKERS.values())
    assert set(recorded.speakers) == names["train"]


def test_women_and_children_have_shorter_vocal_tracts_and_higher_voices():
    speakers = draw_speakers("train")
    means = {
        voice: np.mean(
            [[s.formant_scale, s.pitch_hz] for s in speakers if s.voice == voice],
            axis=0,
        )
        for voice in ("man", "woman", "child")
    }
    assert (means["man"] < means["woman"]).all()
    assert (means["woman"] < means["child"]).all()


def test_strings_have_as_many_digits_as_asked_for_and_take_their_time(recorded):
    assert sum(recorded.lengths) == len(recorded.samples)
    for text, length in zip(recorded.texts, recorded.lengths, strict=True):
        words = text.split()
        assert 2 <= len(words) <= 5
        assert set(words) <= set(DIGITS)
        assert 0.15 * len(words) < length / 16_000 < 0.8 * len(words) + 0.3
    data = SpokenDigitsData(min_digits=7, max_digits=7)
    assert {len(t.split()) for t in record(data, "valid", 10, sound=False).texts} == {7}


def test_recordings_do_not_clip_and_have_noise_in_their_silences(recorded):
    assert np.abs(recorded.samples.astype(int)).max() < 32_767
    ends = np.cumsum(recorded.lengths)
    for end, length in zip(ends, recorded.lengths, strict=True):
        wave = recorded.samples[end - length : end].astype(np.float64)
        silence = wave[:400]
        assert 0 < silence.std() < 0.2 * wave.std()


def test_the_digest_follows_the_configuration():
    assert spoken_digits_digest(FEW) == spoken_digits_digest(FEW.model_copy())
    others = [
        FEW,
        SpokenDigitsData(),
        SpokenDigitsData(content="single"),
        SpokenDigitsData(max_digits=6),
    ]
    assert len({spoken_digits_digest(data) for data in others}) == len(others)


def test_single_digits_can_be_classified():
    data = SpokenDigitsData(content="single", num_train=30, num_valid=10, num_test=10)
    dataset = load_speech(data)
    assert dataset.train.labels["digit"] == dataset.train.texts
    assert set(dataset.train.texts or ()) <= set(DIGITS)
    assert set(dataset.train.labels) == {"digit", "speaker", "voice"}


def test_the_data_set_is_made_once_and_read_from_the_cache(own_cache):
    first, second = load_speech(FEW), load_speech(FEW)
    assert len(list((own_cache / "speech").glob("*.npy"))) == 3
    assert first.digest == second.digest == spoken_digits_digest(FEW)
    assert first.train.texts == second.train.texts
    for i in range(3):
        wave = first.test.audio.read(i)
        assert wave.dtype == np.float32
        assert np.array_equal(wave, second.test.audio.read(i))
        assert 0.05 < np.abs(wave).max() < 1.0
    assert first.classes[:2] == ("<blank>", "|")
    assert "".join(first.classes[2:]) == "EFGHINORSTUVWXZ"
