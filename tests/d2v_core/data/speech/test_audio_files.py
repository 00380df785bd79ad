import math
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from d2v_core.data.speech import audio_files
from d2v_core.data.speech.audio_files import (
    BrokenAudioError,
    FileAudio,
    decode_audio,
    open_audio,
    resample,
    without_short,
)
from d2v_core.data.speech.utterances import ArrayAudio, AudioFile
from tests.d2v_core.data.speech.trees import tone, write_audio

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("num_samples", [1, 1_003, 4_000])
def test_resampling_keeps_the_duration(rate, num_samples):
    wave = resample(tone(num_samples, rate, 0), rate)
    assert len(wave) == math.ceil(num_samples * 16_000 / rate)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_resampling_keeps_a_tone(rate):
    time = np.arange(rate) / rate
    wave = resample(np.sin(2 * np.pi * 440 * time).astype(np.float32), rate)
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(wave[200:-200], expected[200:-200], atol=0.01)


def test_flac_and_several_channels(tmp_path):
    stereo = np.stack([np.full(800, 0.25), np.full(800, -0.5)], axis=1)
    soundfile.write(tmp_path / "a.flac", stereo, 16_000)
    wave = decode_audio(AudioFile(tmp_path / "a.flac"))
    assert wave.dtype == np.float32
    np.testing.assert_allclose(wave, -0.125, atol=1e-4)


def broken_files(root: Path) -> dict[str, AudioFile]:
    root.mkdir(exist_ok=True)
    (root / "text.wav").write_text("no audio")
    soundfile.write(root / "empty.wav", np.zeros(0), 16_000)
    nan = np.full(10, np.nan, np.float32)
    soundfile.write(root / "nan.wav", nan, 16_000, subtype="FLOAT")
    write_audio(root / "short.wav", 90)
    write_audio(root / "slow.wav", 90, rate=8_000)
    names = ("missing", "text", "empty", "nan", "short", "slow")
    return {
        name: AudioFile(root / f"{name}.wav", 91 if name == "short" else None)
        for name in names
    }


REASONS = {
    "missing": "there is no such file",
    "text": "cannot be read",
    "empty": "has no samples",
    "nan": "has samples that are not finite",
    "short": "must have the manifest's 91 samples, has 90",
    "slow": "must be sampled at 16000 Hz, is at 8000",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_broken_file_is_refused_with_its_reason(tmp_path, name):
    file = broken_files(tmp_path)[name]
    with pytest.raises(BrokenAudioError) as caught:
        decode_audio(file, sample_rate_hz=16_000)
    assert REASONS[name] in str(caught.value)


def whole_and_broken(root: Path) -> list[AudioFile]:
    broken = broken_files(root)
    for i in range(3):
        write_audio(root / f"{i}.wav", 300 + i, seed=i)
    whole = [AudioFile(root / f"{i}.wav", 300 + i) for i in range(3)]
    return [whole[0], broken["text"], whole[1], broken["missing"], whole[2]]


@pytest.mark.parametrize("limit", [2**30, 1_500])
def test_opened_audio_knows_what_is_whole(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(audio_files, "MAX_CACHED_BYTES", limit)
    files = whole_and_broken(tmp_path)
    for _ in range(2):  # decoded, then from the cache
        opened = open_audio(files, cache_key="k", sample_rate_hz=None)
        assert opened.kept.tolist() == [0, 2, 4]
        assert [Path(path).name for path, _ in opened.broken] == [
            "text.wav",
            "missing.wav",
        ]
        assert opened.audio.lengths.tolist() == [300, 301, 302]
        for i in range(3):
            expected = decode_audio(AudioFile(tmp_path / f"{i}.wav"))
            assert np.array_equal(opened.audio.read(i), expected)
    assert isinstance(opened.audio, ArrayAudio if limit > 2_000 else FileAudio)


def test_a_second_look_decodes_nothing(tmp_path, monkeypatch):
    files = whole_and_broken(tmp_path)
    open_audio(files, cache_key="k", sample_rate_hz=None)

    def refuse(*args, **options):
        raise AssertionError("decoded again")

    monkeypatch.setattr(audio_files, "decode_audio", refuse)
    assert len(open_audio(files, cache_key="k", sample_rate_hz=None).audio) == 3


def test_no_temporary_file_is_left(tmp_path, own_cache):
    open_audio(whole_and_broken(tmp_path), cache_key="k", sample_rate_hz=None)
    left = sorted(path.name for path in (own_cache / "speech").iterdir())
    assert left == ["k.f32", "k.index.json"]


@pytest.mark.parametrize("rate", [4_001, 15_999, 16_001, 44_099, 192_000])
def test_odd_rates_keep_a_tone_in_little_memory(rate):
    time = np.arange(rate) / rate
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wave = resample(np.sin(2 * np.pi * 440 * time).astype(np.float32), rate)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1_024
    assert grown_mb < 400
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(wave[200:-200], expected[200:-200], atol=0.01)


def with_header(path: Path, place: int, value: int, *, size: int = 4) -> AudioFile:
    """A second of silence whose header says something else."""
    soundfile.write(path, np.zeros(16_000, np.float32), 16_000)
    content = bytearray(path.read_bytes())
    content[place : place + size] = value.to_bytes(size, "little")
    path.write_bytes(content)
    return AudioFile(path)


@pytest.mark.parametrize("rate", [1, 3_999, 192_001, 2**31 - 1])
def test_rates_out_of_bounds_are_refused_with_the_bounds(tmp_path, rate):
    file = with_header(tmp_path / "a.wav", 24, rate)
    with pytest.raises(BrokenAudioError, match="4,000 to 192,000 Hz, is at"):
        decode_audio(file)


def test_more_channels_than_anybody_records_are_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((10, 65)), 16_000)
    with pytest.raises(BrokenAudioError, match="at most 64 channels, has 65"):
        decode_audio(AudioFile(tmp_path / "a.wav"))


def test_a_length_is_refused_before_memory_is_asked_for(tmp_path):
    file = tmp_path / "a.flac"
    soundfile.write(file, np.zeros(16_000), 16_000)
    content = bytearray(file.read_bytes())
    place = 4 + 4 + 13  # magic, block header; the last 36 bits of 18 bytes: samples
    content[place] |= 0x0F
    content[place + 1 : place + 5] = b"\xff" * 4
    file.write_bytes(content)
    with pytest.raises(BrokenAudioError, match="at most 3,600 seconds, claims 4,29"):
        decode_audio(AudioFile(file))


def test_a_flac_that_claims_more_than_it_holds_is_cut_short(tmp_path):
    file = tmp_path / "a.flac"
    soundfile.write(file, tone(16_000, 16_000, 0), 16_000)
    file.write_bytes(file.read_bytes()[:9_000])
    with pytest.raises(BrokenAudioError, match="is cut short|cannot be read"):
        decode_audio(AudioFile(file))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_depth_is_the_same_sound(tmp_path, subtype, channels):
    wave = tone(1_600, 16_000, 0)
    sound = np.stack([wave, 0.5 * wave], axis=1)[:, :channels]
    soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype=subtype)
    found = decode_audio(AudioFile(tmp_path / "a.wav"))
    depth = {"PCM_U8": 1 / 120}.get(subtype, 1e-4)
    np.testing.assert_allclose(found, sound.mean(axis=1), atol=depth)


@pytest.mark.parametrize("limit", [2**30, 0])
def test_utterances_too_short_for_a_frame_count_as_broken(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(audio_files, "MAX_CACHED_BYTES", limit)
    files = whole_and_broken(tmp_path)
    opened = open_audio(files, cache_key="k", sample_rate_hz=None)
    assert without_short(opened, files, 300) is opened
    fewer = without_short(opened, files, 302)
    assert fewer.kept.tolist() == [4]
    assert fewer.audio.lengths.tolist() == [302]
    assert np.array_equal(fewer.audio.read(0), opened.audio.read(2))
    rule = "must have 302 samples at 16 kHz to make a frame, has"
    assert fewer.broken[2:] == (
        (str(files[0].path), f"{rule} 300"),
        (str(files[2].path), f"{rule} 301"),
    )


def test_channels_that_cancel_each_other_out_are_refused(tmp_path):
    wave = tone(1_600, 16_000, 0)
    soundfile.write(tmp_path / "a.wav", np.stack([wave, -wave], axis=1), 16_000)
    with pytest.raises(BrokenAudioError, match="cancel each other out"):
        decode_audio(AudioFile(tmp_path / "a.wav"))
    soundfile.write(tmp_path / "b.wav", np.stack([wave, 0 * wave], axis=1), 16_000)
    found = decode_audio(AudioFile(tmp_path / "b.wav"))
    np.testing.assert_allclose(found, 0.5 * wave, atol=1e-4)
