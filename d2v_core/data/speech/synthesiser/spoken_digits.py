"""The embedded default: strings of English digits by synthetic speakers, no download.

Speakers differ in their voices (``speakers.py``), utterances in intonation, pauses,
level, channel and background noise; men, women and children alternate. When each phone
and word is said is known. Everything depends on a fixed seed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from d2v_core.config.speech_data import SpokenDigitsData
from d2v_core.data.speech.alignment import NO_WORD, Spans
from d2v_core.data.speech.synthesiser.formants import (
    FRAME_SAMPLES,
    NUM_FORMANTS,
    Controls,
    synthesise,
)
from d2v_core.data.speech.synthesiser.phones import (
    DIGITS,
    NAMES,
    NASAL_POLE_HZ,
    PHONES,
)
from d2v_core.data.speech.synthesiser.speakers import (
    DATA_SEED,
    NUM_SPEAKERS,
    VOICES,
    Speaker,
    draw_speakers,
)
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.randomness import numpy_generator

VERSION = 1
"""Part of the digest; whoever changes what the generator makes raises it, with the
golden checksum in its test."""
CHUNK = 256
"""Utterances synthesised together."""
WORDS = tuple(DIGITS)
SILENCE = NAMES.index("silence")


@dataclass(frozen=True)
class Recordings:
    """Utterances one after the other.

    Attributes:
        samples: int16 at 16 kHz.
        lengths: Samples of each utterance.
        texts: What is said, in capitals.
        speakers: Names.
        voices: ``man``, ``woman`` or ``child``.
        spans: When each phone (of :data:`NAMES`) and word (of :data:`WORDS`) is said.
    """

    samples: np.ndarray
    lengths: np.ndarray
    texts: tuple[str, ...]
    speakers: tuple[str, ...]
    voices: tuple[str, ...]
    spans: tuple[Spans, ...]


def spoken_digits_digest(data: SpokenDigitsData) -> str:
    """Digest everything that determines the recordings."""
    parts = [
        *(VERSION, DATA_SEED, data.model_dump()),
        *({name: asdict(phone) for name, phone in PHONES.items()}, DIGITS),
        *(NUM_SPEAKERS, VOICES),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def record(
    data: SpokenDigitsData, split: str, num_utterances: int, *, sound: bool = True
) -> Recordings:
    """Record a split, without its samples unless ``sound`` is asked for.

    Synthesis takes about 2 seconds for a thousand utterances on one core.
    """
    generator = numpy_generator(DATA_SEED, f"texts of {split}")
    speakers = draw_speakers(split)
    spoken = [speakers[i % len(speakers)] for i in range(num_utterances)]
    texts = _draw_texts(data, num_utterances, generator)
    spans = tuple(
        _plan(words, speaker, generator)
        for words, speaker in zip(texts, spoken, strict=True)
    )
    plans = [phones_of_controls(one) for one in spans]
    return Recordings(
        samples=_sound(plans, spoken, split) if sound else np.zeros(0, np.int16),
        lengths=np.array([one.ends[-1] for one in spans], np.int64),
        texts=tuple(" ".join(words) for words in texts),
        speakers=tuple(speaker.name for speaker in spoken),
        voices=tuple(speaker.voice for speaker in spoken),
        spans=spans,
    )


def phones_of_controls(spans: Spans) -> np.ndarray:
    """Repeat the phone of each span for every 5 ms of it."""
    durations = np.diff(spans.ends, prepend=0)
    return np.repeat(spans.phones, durations // FRAME_SAMPLES)


def _draw_texts(
    data: SpokenDigitsData, num_utterances: int, generator: np.random.Generator
) -> list[list[str]]:
    """Draw words of each utterance; single digits are about equally many of each."""
    if data.content == "single":
        digits = generator.permutation(np.arange(num_utterances) % len(WORDS))
        return [[WORDS[digit]] for digit in digits]
    counts = generator.integers(data.min_digits, data.max_digits + 1, num_utterances)
    return [[WORDS[d] for d in generator.integers(0, 10, count)] for count in counts]


def _sound(plans: list[np.ndarray], spoken: list[Speaker], split: str) -> np.ndarray:
    """Speak all utterances in their order; those of like length are made together."""
    order = np.argsort([len(plan) for plan in plans], kind="stable")
    waves: list[np.ndarray] = [np.zeros(0, np.int16)] * len(plans)
    for number, start in enumerate(range(0, len(plans), CHUNK)):
        chunk = order[start : start + CHUNK]
        noise = numpy_generator(DATA_SEED, f"sound of {split}", number)
        made = speak([plans[i] for i in chunk], [spoken[i] for i in chunk], noise)
        for i, wave in zip(chunk, made, strict=True):
            waves[i] = wave
    return np.concatenate(waves)


def _plan(words: list[str], speaker: Speaker, generator: np.random.Generator) -> Spans:
    """Choose when each phone is said, in steps of 5 ms."""
    sequence = [("silence", NO_WORD)]
    milliseconds = [generator.uniform(40.0, 120.0)]
    for word in words:
        for name in DIGITS[word]:
            sequence.append((name, WORDS.index(word)))
            stretch = generator.uniform(0.8, 1.25) / speaker.rate
            milliseconds.append(PHONES[name].duration_ms * stretch)
        if generator.random() < 0.5:
            sequence.append(("silence", NO_WORD))
            milliseconds.append(generator.exponential(60.0))
    sequence.append(("silence", NO_WORD))
    milliseconds.append(generator.uniform(40.0, 120.0))
    frame_ms = 1000.0 * FRAME_SAMPLES / SAMPLE_RATE_HZ
    frames = np.maximum(1, np.rint(np.array(milliseconds) / frame_ms)).astype(np.int64)
    return Spans(
        ends=FRAME_SAMPLES * np.cumsum(frames),
        phones=np.array([NAMES.index(name) for name, _ in sequence], np.int64),
        words=np.array([word for _, word in sequence], np.int64),
    )


def speak(
    plans: list[np.ndarray], speakers: list[Speaker], generator: np.random.Generator
) -> list[np.ndarray]:
    """Synthesise utterances as int16 waveforms.

    Args:
        plans: Index in :data:`NAMES` of the phone of every 5 ms.
        speakers: Speaker of each utterance.
        generator: Draws intonation, noise, level and channel.
    """
    controls = plan_controls(plans, speakers, generator)
    waves = synthesise(controls, generator)
    num = len(plans)
    waves[1:] += generator.uniform(-0.4, 0.4, num).astype(np.float32) * waves[:-1]
    lengths = np.array([len(plan) * FRAME_SAMPLES for plan in plans])
    power = np.array([np.mean(waves[:n, i] ** 2) for i, n in enumerate(lengths)])
    waves /= np.sqrt(power).astype(np.float32)
    room = generator.standard_normal(waves.shape, dtype=np.float32)
    room[1:] += 0.9 * room[:-1]
    quiet_db = generator.uniform(20.0, 40.0, num)
    waves += (10.0 ** (-quiet_db / 20.0)).astype(np.float32) * room
    level = generator.uniform(0.03, 0.09, num).astype(np.float32)
    pcm = np.clip(np.rint(32767.0 * level * waves), -32768, 32767).astype(np.int16)
    return [pcm[:n, i].copy() for i, n in enumerate(lengths)]


def plan_controls(
    plans: list[np.ndarray], speakers: list[Speaker], generator: np.random.Generator
) -> Controls:
    """Smooth targets over time (coarticulation), and add intonation.

    Amplitudes move within 15 ms, formants within 45 ms.
    """
    longest = max(len(plan) for plan in plans)
    padded = np.zeros((longest, len(plans)), np.int64)  # ends in silence
    for column, plan in enumerate(plans):
        padded[: len(plan), column] = plan
    table = _table()
    formants = _formants(padded, speakers)
    bandwidths = np.empty_like(formants)
    bandwidths[:, :3] = table["bandwidths_hz"][padded].transpose(0, 2, 1)
    bandwidths[:, 3], bandwidths[:, 4] = 250.0, 300.0
    voicing = _smooth(table["voicing"][padded], 3)
    breath = np.array([speaker.breathiness for speaker in speakers], np.float32)
    scale = np.array([speaker.formant_scale for speaker in speakers], np.float32)
    tilt = np.array([speaker.tilt_hz for speaker in speakers], np.float32)
    nasal = np.float32(NASAL_POLE_HZ) * np.ones_like(voicing)
    return Controls(
        pitch_hz=_pitch(longest, plans, speakers, generator),
        voicing=voicing,
        aspiration=_smooth(table["aspiration"][padded], 3) + breath * voicing,
        frication=_smooth(table["frication"][padded], 3),
        formants_hz=formants,
        bandwidths_hz=_smooth(bandwidths, 9),
        noise_hz=_smooth(table["noise_hz"][padded], 3) * np.sqrt(scale),
        noise_bandwidth_hz=_smooth(table["noise_bandwidth_hz"][padded], 3),
        nasal_pole_hz=nasal,
        nasal_zero_hz=_smooth(table["nasal_zero_hz"][padded], 5),
        tilt_hz=tilt * np.ones_like(voicing),
    )


def _table() -> dict[str, np.ndarray]:
    rows = [asdict(phone) for phone in PHONES.values()]
    return {name: np.array([r[name] for r in rows], np.float32) for name in rows[0]}


def _smooth(track: np.ndarray, frames: int) -> np.ndarray:
    smoothed: np.ndarray = uniform_filter1d(track, frames, axis=0, mode="nearest")
    return smoothed


def _formants(padded: np.ndarray, speakers: list[Speaker]) -> np.ndarray:
    """Smooth formants; in a silence the mouth takes the next phone's position."""
    frames = np.arange(len(padded))[:, None]
    at = np.where(padded == SILENCE, len(padded) - 1, frames)
    ahead = np.minimum.accumulate(at[::-1], axis=0)[::-1]
    shaped = np.take_along_axis(padded, ahead, axis=0)
    targets = np.empty((len(padded), NUM_FORMANTS, len(speakers)), np.float32)
    lower = _table()["formants_hz"][shaped].transpose(0, 2, 1)
    accents = np.stack([speaker.accent for speaker in speakers])
    own = accents[np.arange(len(speakers)), shaped].transpose(0, 2, 1)
    targets[:, :3], targets[:, 3], targets[:, 4] = lower * own, 3_500.0, 4_500.0
    scale = np.array([speaker.formant_scale for speaker in speakers], np.float32)
    return _smooth(targets * scale, 9)


def _pitch(
    longest: int,
    plans: list[np.ndarray],
    speakers: list[Speaker],
    generator: np.random.Generator,
) -> np.ndarray:
    """Draw a pitch that falls over the utterance, with slow waves and some jitter."""
    mean = np.array([speaker.pitch_hz for speaker in speakers])
    lengths = np.array([len(plan) for plan in plans])
    through = np.arange(longest)[:, None] / lengths
    fall = generator.uniform(0.05, 0.3, len(plans))
    waves = generator.standard_normal((longest, len(plans)))
    slow = 0.6 * _smooth(_smooth(waves, 31), 31)
    jitter = 0.01 * generator.standard_normal((longest, len(plans)))
    factor = np.exp(fall * (0.5 - through) + slow * 0.5 + jitter)
    pitch: np.ndarray = np.clip(mean * factor, 60.0, 500.0).astype(np.float32)
    return pitch
