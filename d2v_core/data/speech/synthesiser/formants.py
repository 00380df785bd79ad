"""A source-filter synthesiser for many utterances at once.

Klatt 1980, "Software for a cascade/parallel formant synthesizer", JASA 67: glottal
pulses and breath noise run through a nasal zero and a cascade of second-order
resonators (nasal pole, F1 ... F5), frication noise through a branch of its own;
parameters change every 5 ms. Departures: the glottal pulse is the derivative of
``x^2 - x^3`` (Klatt and Klatt 1990), lip radiation is part of it, and each resonator
hears the one before it one sample later, so that all resonators of all utterances take
a step together in a few array operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from d2v_core.frames import SAMPLE_RATE_HZ

FRAME_SAMPLES = 80
"""Samples between two values of a parameter: 5 ms."""
NUM_FORMANTS = 5
OPEN_QUOTIENT = 0.6
"""Share of a pitch period during which the glottis is open."""
NASAL_BANDWIDTH_HZ = 100.0
FLOOR = 1e-4
"""Noise that is always there: it keeps the filters' states from becoming denormal."""

Frames = Float32[np.ndarray, "frames utterances"]


@dataclass(frozen=True)
class Controls:
    """Parameters of every 5 ms of every utterance.

    Attributes:
        pitch_hz: Rate of the glottal pulses.
        voicing: Their amplitude.
        aspiration: Amplitude of noise at the glottis.
        frication: Amplitude of noise at a constriction.
        formants_hz: F1 ... F5.
        bandwidths_hz: Theirs.
        noise_hz: Centre of the frication band.
        noise_bandwidth_hz: Its width.
        nasal_pole_hz: Extra resonance.
        nasal_zero_hz: Antiresonance that cancels it where it is equal.
        tilt_hz: Cut-off of the low-pass at the glottis; low in a breathy voice.
    """

    pitch_hz: Frames
    voicing: Frames
    aspiration: Frames
    frication: Frames
    formants_hz: Float32[np.ndarray, "frames 5 utterances"]
    bandwidths_hz: Float32[np.ndarray, "frames 5 utterances"]
    noise_hz: Frames
    noise_bandwidth_hz: Frames
    nasal_pole_hz: Frames
    nasal_zero_hz: Frames
    tilt_hz: Frames


def synthesise(
    controls: Controls, generator: np.random.Generator
) -> Float32[np.ndarray, "samples utterances"]:
    """Synthesise waveforms, 80 samples per frame of controls, without a fixed level.

    Args:
        controls: What is said.
        generator: Draws the noise.
    """
    glottal = _antiresonate(_glottal_source(controls, generator), controls)
    noise = generator.standard_normal(glottal.shape, dtype=np.float32)
    noise *= np.repeat(controls.frication + FLOOR, FRAME_SAMPLES, axis=0)
    return _resonate(glottal, noise, *_coefficients(controls))


def _glottal_source(controls: Controls, generator: np.random.Generator) -> np.ndarray:
    advance = controls.pitch_hz[:, None] / np.float32(SAMPLE_RATE_HZ)
    turns = np.cumsum(FRAME_SAMPLES * advance, axis=0, dtype=np.float64)
    start = ((turns - FRAME_SAMPLES * advance) % 1.0).astype(np.float32)
    within = np.arange(FRAME_SAMPLES, dtype=np.float32)[:, None]
    phase = (start + within * advance).reshape(-1, advance.shape[2]) % 1.0
    opened = np.minimum(phase / np.float32(OPEN_QUOTIENT), np.float32(1.0))
    pulses = opened * (2.0 - 3.0 * opened) * (opened < 1.0)
    pulses *= np.repeat(controls.voicing, FRAME_SAMPLES, axis=0)
    breath = generator.standard_normal(pulses.shape, dtype=np.float32)
    breath *= np.repeat(controls.aspiration + FLOOR, FRAME_SAMPLES, axis=0)
    source: np.ndarray = pulses + breath
    return source


def _antiresonate(source: np.ndarray, controls: Controls) -> np.ndarray:
    bandwidth = np.full_like(controls.nasal_zero_hz, NASAL_BANDWIDTH_HZ)
    a, b, c = (
        np.repeat(part, FRAME_SAMPLES, axis=0)
        for part in resonator(controls.nasal_zero_hz, bandwidth)
    )
    filtered = source.copy()
    filtered[1:] -= b[1:] * source[:-1]
    filtered[2:] -= c[2:] * source[:-2]
    antiresonant: np.ndarray = filtered / a
    return antiresonant


def resonator(
    frequency_hz: np.ndarray, bandwidth_hz: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute a, b, c of ``y[t] = a x[t] + b y[t-1] + c y[t-2]``, unit gain at 0 Hz.

    Klatt 1980, equation 2.
    """
    radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
    c = -(radius**2)
    b = 2.0 * radius * np.cos(2.0 * np.pi * frequency_hz / SAMPLE_RATE_HZ)
    return 1.0 - b - c, b, c


def _coefficients(controls: Controls) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stack glottal low-pass, nasal pole, F1 ... F5, nothing, and frication twice."""
    nasal_width = np.full_like(controls.nasal_pole_hz, NASAL_BANDWIDTH_HZ)
    low = resonator(np.zeros_like(controls.tilt_hz), 2.0 * controls.tilt_hz)
    nasal = resonator(controls.nasal_pole_hz, nasal_width)
    vocal = resonator(controls.formants_hz, controls.bandwidths_hz)
    _, b, c = resonator(controls.noise_hz, controls.noise_bandwidth_hz)
    angle = 2.0 * np.pi * controls.noise_hz / SAMPLE_RATE_HZ
    band = ((1.0 + c) * np.sin(angle), b, c)  # unit gain at its centre instead
    nothing = (np.zeros_like(b),) * 3
    stages = [
        np.concatenate(
            [x[:, None], n[:, None], v, z[:, None], f[:, None], f[:, None]], axis=1
        ).astype(np.float32)
        for x, n, v, z, f in zip(low, nasal, vocal, nothing, band, strict=True)
    ]
    return stages[0], stages[1], stages[2]


def _resonate(
    glottal: np.ndarray, noise: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> np.ndarray:
    """Run both branches: row i + 1 of a state is stage i, which hears row i."""
    num_stages, num_utterances = a.shape[1:]
    end_of_cascade, start_of_noise = num_stages - 3, num_stages - 2
    now, before, scratch = np.zeros((3, num_stages + 1, num_utterances), np.float32)
    output = np.empty_like(glottal)
    for t in range(len(glottal)):
        frame = t // FRAME_SAMPLES
        now[0], now[start_of_noise] = glottal[t], noise[t]
        after = scratch[1:]
        np.multiply(c[frame], before[1:], out=after)
        np.multiply(b[frame], now[1:], out=before[1:])
        after += before[1:]
        np.multiply(a[frame], now[:-1], out=before[1:])
        after += before[1:]
        np.add(after[end_of_cascade - 1], after[-1], out=output[t])
        now, before, scratch = scratch, now, before
    return output
