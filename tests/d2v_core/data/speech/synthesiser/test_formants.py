"""Synthesis against scipy's filters, and vowels against their formants."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import find_peaks, lfilter, welch

from d2v_core.data.speech.synthesiser.formants import (
    FLOOR,
    FRAME_SAMPLES,
    Controls,
    resonator,
    synthesise,
)
from d2v_core.data.speech.synthesiser.phones import NAMES, PHONES
from d2v_core.data.speech.synthesiser.speakers import Speaker
from d2v_core.data.speech.synthesiser.spoken_digits import plan_controls
from d2v_core.frames import SAMPLE_RATE_HZ

VOWELS = ("iy", "eh", "aa", "ao", "uw", "ah")


def steady(*phones: str, scale: float = 1.0, pitch: float = 100.0, frames=120):
    speaker = Speaker(
        name="s",
        voice="man",
        pitch_hz=pitch,
        formant_scale=scale,
        rate=1.0,
        breathiness=0.0,
        tilt_hz=4000.0,
        accent=np.ones((len(NAMES), 3)),
    )
    plans = [np.full(frames, NAMES.index(phone)) for phone in phones]
    speakers = [speaker] * len(plans)
    return plan_controls(plans, speakers, np.random.default_rng(0))


def constant(controls: Controls, **values: float) -> Controls:
    changed = {
        name: np.full_like(controls.voicing, value) for name, value in values.items()
    }
    return replace(controls, **changed)


def filtered(signal, frequency, bandwidth):
    a, b, c = resonator(np.array([frequency]), np.array([bandwidth]))
    return lfilter(a, [1.0, -b[0], -c[0]], signal)


def test_the_cascade_is_scipys_with_a_delay():
    controls = constant(steady("aa"), voicing=0.0, aspiration=1.0, frication=-FLOOR)
    wave = synthesise(controls, np.random.default_rng(1))[:, 0]
    noise = np.random.default_rng(1).standard_normal((len(wave), 1), np.float32)
    expected = (1.0 + FLOOR) * noise[:, 0].astype(np.float64)
    expected = filtered(expected, 0.0, 2 * 4000.0)
    for k in range(5):
        frequency = controls.formants_hz[0, k, 0]
        expected = filtered(expected, frequency, controls.bandwidths_hz[0, k, 0])
    # Seven resonators, each hears the one before a sample later.
    np.testing.assert_allclose(wave[6:], expected[:-6], atol=2e-3 * expected.std())


def test_frication_is_a_band_of_its_own():
    controls = constant(
        steady("s"), voicing=0.0, aspiration=-FLOOR, frication=1.0, noise_hz=5500.0
    )
    wave = synthesise(controls, np.random.default_rng(1))[:, 0]
    frequencies, power = welch(wave, SAMPLE_RATE_HZ, nperseg=512)
    assert frequencies[power.argmax()] == pytest.approx(5500, abs=400)
    assert power[frequencies < 2000].max() < power.max() / 100


def formants_heard(wave: np.ndarray) -> np.ndarray:
    frequencies, power = welch(wave, SAMPLE_RATE_HZ, nperseg=1024)
    smooth = np.convolve(np.log(power), np.ones(3) / 3, mode="same")
    return frequencies[find_peaks(smooth, prominence=0.5)[0]]


@pytest.mark.parametrize("scale", [1.0, 1.16, 1.3])
def test_a_whispered_vowel_peaks_at_its_formants_times_the_scale(scale):
    controls = steady(*VOWELS, scale=scale, frames=500)
    controls = constant(controls, voicing=0.0, aspiration=1.0)
    waves = synthesise(controls, np.random.default_rng(0))
    for wave, vowel in zip(waves.T, VOWELS, strict=True):
        heard = formants_heard(wave)
        for formant in PHONES[vowel].formants_hz:
            nearest = heard[np.abs(heard - scale * formant).argmin()]
            assert nearest == pytest.approx(scale * formant, rel=0.05, abs=25), vowel


@pytest.mark.parametrize("pitch", [100.0, 220.0])
def test_a_voiced_vowel_repeats_at_its_pitch(pitch):
    controls = constant(steady("ah"), pitch_hz=pitch)
    wave = synthesise(controls, np.random.default_rng(0))[4000:8000, 0]
    wave = wave - wave.mean()
    correlation = np.correlate(wave, wave, mode="full")[len(wave) - 1 :]
    low = round(SAMPLE_RATE_HZ / pitch / 1.5)
    high = round(SAMPLE_RATE_HZ / pitch * 1.5)
    lag = low + correlation[low:high].argmax()
    assert SAMPLE_RATE_HZ / lag == pytest.approx(pitch, rel=0.02)


def test_a_nasal_zero_takes_out_its_frequency_and_cancels_at_the_pole():
    oral = constant(steady("ah", frames=300), voicing=0.0, aspiration=1.0)
    nasal = constant(oral, nasal_zero_hz=900.0)
    level = {}
    for name, controls in (("oral", oral), ("nasal", nasal)):
        wave = synthesise(controls, np.random.default_rng(0))[:, 0]
        frequencies, power = welch(wave, SAMPLE_RATE_HZ, nperseg=512)
        level[name] = power[np.abs(frequencies - 900).argmin()]
    assert level["nasal"] < level["oral"] / 20


def test_a_frame_is_eighty_samples_and_silence_is_quiet():
    controls = steady("silence", frames=7)
    wave = synthesise(controls, np.random.default_rng(0))
    assert wave.shape == (7 * FRAME_SAMPLES, 1)
    assert wave.dtype == np.float32
    assert np.abs(wave).max() < 1e-2
