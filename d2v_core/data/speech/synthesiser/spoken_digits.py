"""The embedded default: strings of English digits by synthetic speakers, no download.

Speakers differ in vocal-tract length (formants), pitch, rate, breathiness and a small
accent of their own, utterances in intonation, pauses, level, channel and background
noise. Men, women and children alternate; the factors follow Peterson and Barney 1952
(mean pitch 132, 223 and 264 Hz; formants of women about 1.16, of children about 1.3
times those of men). Splits share no speaker. Everything depends on a fixed seed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from d2v_core.config.speech_data import SpokenDigitsData
from d2v_core.data.speech.synthesiser.formants import (
    FRAME_SAMPLES,
    NUM_FORMANTS,
    Controls,
    synthesise,
)
from d2v_core.data.speech.synthesiser.phones import DIGITS, NASAL_POLE_HZ, PHONES
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.randomness import numpy_generator

DATA_SEED = 2022
VERSION = 1
"""Part of the digest; whoever changes what the generator makes raises it, with the
golden checksum in its test."""
NUM_SPEAKERS = {"train": 24, "valid": 6, "test": 12}
VOICES = (("man", 132.0, 1.0), ("woman", 223.0, 1.16), ("child", 264.0, 1.3))
CHUNK = 256
"""Utterances synthesised together."""
NAMES = tuple(PHONES)
WORDS = tuple(DIGITS)


@dataclass(frozen=True)
class Speaker:
    """One voice.

    Attributes:
        name: For people.
        voice: ``man``, ``woman`` or ``child``.
        pitch_hz: Mean pitch.
        formant_scale: Formants over a man's: inverse to the vocal tract's length.
        rate: Speed of speaking; 1 is normal.
        breathiness: Breath noise over voicing.
        tilt_hz: Cut-off of the glottal low-pass.
        accent: Formant factors of shape (phones, 3).
    """

    name: str
    voice: str
    pitch_hz: float
    formant_scale: float
    rate: float
    breathiness: float
    tilt_hz: float
    accent: np.ndarray


@dataclass(frozen=True)
class Recordings:
    """Utterances one after the other.

    Attributes:
        samples: int16 at 16 kHz.
        lengths: Samples of each utterance.
        texts: What is said, in capitals.
        speakers: Names.
        voices: ``man``, ``woman`` or ``child``.
    """

    samples: np.ndarray
    lengths: np.ndarray
    texts: tuple[str, ...]
    speakers: tuple[str, ...]
    voices: tuple[str, ...]


def spoken_digits_digest(data: SpokenDigitsData) -> str:
    """Digest everything that determines the recordings."""
    parts = [
        *(VERSION, DATA_SEED, data.model_dump()),
        *({name: asdict(phone) for name, phone in PHONES.items()}, DIGITS),
        *(NUM_SPEAKERS, VOICES),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def draw_speakers(split: str) -> list[Speaker]:
    """Draw the speakers of a split; those of other splits are others."""
    generator = numpy_generator(DATA_SEED, f"speakers of {split}")
    return [
        _draw_speaker(f"{split}-{i:02d}", VOICES[i % len(VOICES)], generator)
        for i in range(NUM_SPEAKERS[split])
    ]


def _draw_speaker(
    name: str, voice: tuple[str, float, float], generator: np.random.Generator
) -> Speaker:
    kind, pitch, scale = voice
    return Speaker(
        name=name,
        voice=kind,
        pitch_hz=pitch * generator.uniform(0.82, 1.2),
        formant_scale=scale * generator.uniform(0.93, 1.07),
        rate=generator.uniform(0.9, 1.25),
        breathiness=generator.uniform(0.005, 0.06),
        tilt_hz=generator.uniform(2_500.0, 5_000.0),
        accent=generator.normal(1.0, 0.03, (len(NAMES), 3)),
    )


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
    plans = [
        _plan(words, speaker, generator)
        for words, speaker in zip(texts, spoken, strict=True)
    ]
    return Recordings(
        samples=_sound(plans, spoken, split) if sound else np.zeros(0, np.int16),
        lengths=np.array([FRAME_SAMPLES * len(plan) for plan in plans], np.int64),
        texts=tuple(" ".join(words) for words in texts),
        speakers=tuple(speaker.name for speaker in spoken),
        voices=tuple(speaker.voice for speaker in spoken),
    )


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


def _plan(
    words: list[str], speaker: Speaker, generator: np.random.Generator
) -> np.ndarray:
    """Choose the phone of every frame."""
    sequence, milliseconds = ["silence"], [generator.uniform(40.0, 120.0)]
    for word in words:
        for name in DIGITS[word]:
            sequence.append(name)
            stretch = generator.uniform(0.8, 1.25) / speaker.rate
            milliseconds.append(PHONES[name].duration_ms * stretch)
        if generator.random() < 0.5:
            sequence.append("silence")
            milliseconds.append(generator.exponential(60.0))
    sequence.append("silence")
    milliseconds.append(generator.uniform(40.0, 120.0))
    frame_ms = 1000.0 * FRAME_SAMPLES / SAMPLE_RATE_HZ
    frames = np.maximum(1, np.rint(np.array(milliseconds) / frame_ms)).astype(np.int64)
    return np.repeat([NAMES.index(name) for name in sequence], frames)


def speak(
    plans: list[np.ndarray], speakers: list[Speaker], generator: np.random.Generator
) -> list[np.ndarray]:
    """Synthesise utterances as int16 waveforms.

    Args:
        plans: Index in :data:`NAMES` of the phone of every 5 ms.
        speakers: Who says each.
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
    at = np.where(padded == NAMES.index("silence"), len(padded) - 1, frames)
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
