import numpy as np
import pytest

from d2v_core.config.speech_data import SpokenDigitsData
from d2v_core.data.cache import CacheEntry
from d2v_core.data.speech.alignment import NO_WORD, spans_digest
from d2v_core.data.speech.dataset import load_speech
from d2v_core.data.speech.synthesiser.phones import DIGITS, NAMES, PHONES
from d2v_core.data.speech.synthesiser.speakers import NUM_SPEAKERS, draw_speakers
from d2v_core.data.speech.synthesiser.spoken_digits import (
    WORDS,
    record,
    spoken_digits_digest,
)

FEW = SpokenDigitsData(num_train=24, num_valid=10, num_test=12)


@pytest.fixture(scope="module")
def recorded():
    return record(FEW, "train", 24)


SAID = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")


def test_every_sound_of_a_digit_is_known():
    assert set(DIGITS) == set(SAID)
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


def test_the_alignment_is_that_of_the_texts(recorded):
    for text, spans, length in zip(
        recorded.texts, recorded.spans, recorded.lengths, strict=True
    ):
        assert spans.ends[-1] == length
        assert (np.diff(spans.ends, prepend=0) >= 80).all()
        silent = spans.phones == NAMES.index("silence")
        assert silent[0]
        assert silent[-1]
        assert ((spans.words == NO_WORD) == silent).all()
        said = [NAMES[phone] for phone in spans.phones[~silent]]
        assert said == [phone for word in text.split() for phone in DIGITS[word]]
        words = [WORDS[word] for word in spans.words[~silent]]
        assert words == [word for word in text.split() for _ in DIGITS[word]]


def test_a_known_string_is_aligned_as_it_sounds():
    """SIX: loud hissing, a vowel below it, a closure that is nearly silent, a hiss."""
    data = SpokenDigitsData(content="single", num_train=60)
    made = record(data, "train", 60)
    begins = np.cumsum(made.lengths) - made.lengths
    for i in np.flatnonzero(np.array(made.texts) == "SIX"):
        spans = made.spans[i]
        assert [NAMES[phone] for phone in spans.phones[:7]] == [
            *("silence", "s", "ih", "k closure", "k burst", "s", "silence")
        ]
        parts = np.split(
            made.samples[begins[i] : begins[i] + made.lengths[i]].astype(np.float64),
            spans.ends[:-1],
        )
        # The middles of spans: amplitudes move within 15 ms.
        middles = [part[len(part) // 4 : -len(part) // 4] for part in parts]
        level = [middle.std() for middle in middles]
        high = [np.diff(middle).std() / middle.std() for middle in middles]
        assert level[1] > 3 * level[0]
        assert level[2] > 3 * level[3]
        assert high[1] > 3 * high[2]
        assert high[5] > 3 * high[2]


def test_cached_and_fresh_agree_and_audio_of_another_alignment_is_made_anew(
    own_cache,
):
    fresh, cached = load_speech(FEW).test, load_speech(FEW).test
    assert fresh.alignment is not None
    assert cached.alignment is not None
    spans = record(FEW, "test", 12).spans
    for other in (fresh, cached):
        assert other.alignment.phones == NAMES
        assert spans_digest(other.alignment.spans) == spans_digest(spans)
    entry = CacheEntry("speech", f"{spoken_digits_digest(FEW)}-test")
    other = {"lengths": fresh.audio.lengths.tolist()}  # as earlier versions wrote it
    entry.write(other, {"npy": lambda file: np.save(file, np.zeros(10, np.int16))})
    again = load_speech(FEW).test
    for i in range(12):
        assert np.array_equal(again.audio.read(i), cached.audio.read(i))


def test_a_larger_test_set_leaves_the_other_splits_as_they_are():
    larger = SpokenDigitsData(**{**FEW.model_dump(), "num_test": 40})
    for split in ("train", "valid"):
        small, same = record(FEW, split, 10), record(larger, split, 10)
        assert np.array_equal(small.samples, same.samples)
        assert spans_digest(small.spans) == spans_digest(same.spans)
