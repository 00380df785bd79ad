"""Synthetic speakers; splits share none.

They differ in vocal-tract length (formants), pitch, rate, breathiness and a small
accent of their own. The factors follow Peterson and Barney 1952 (mean pitch 132, 223
and 264 Hz; formants of women about 1.16, of children about 1.3 times those of men).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2v_core.data.speech.synthesiser.phones import NAMES
from d2v_core.randomness import numpy_generator

DATA_SEED = 2022
NUM_SPEAKERS = {"train": 24, "valid": 6, "test": 12}
VOICES = (("man", 132.0, 1.0), ("woman", 223.0, 1.16), ("child", 264.0, 1.3))


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
