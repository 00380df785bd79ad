"""The sounds of the ten English digits as targets of a formant synthesiser.

Vowels: mean formants of the men in Peterson and Barney 1952, "Control methods used in a
study of the vowels", JASA 24. Sonorants and the formant loci of obstruents: after Klatt
1980, "Software for a cascade/parallel formant synthesizer", JASA 67. Noise bands,
levels and durations are this project's choice, coarse but ordered as in speech: /s z/
high and strong, /f v th/ wide and weak, bursts of /t/ high and of /k/ near F2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phone:
    """One target; a man's vocal tract.

    Attributes:
        formants_hz: F1, F2, F3.
        duration_ms: At a normal rate.
        bandwidths_hz: Widths of the three.
        voicing: Amplitude of the glottal pulses.
        aspiration: Amplitude of noise at the glottis, shaped by the formants.
        frication: Amplitude of noise at a constriction, shaped by ``noise_hz``.
        noise_hz: Centre of the frication band.
        noise_bandwidth_hz: Its width.
        nasal_zero_hz: Antiresonance of a nasal; at :data:`NASAL_POLE_HZ` it has none.
    """

    formants_hz: tuple[float, float, float]
    duration_ms: float
    bandwidths_hz: tuple[float, float, float] = (60.0, 90.0, 150.0)
    voicing: float = 0.0
    aspiration: float = 0.0
    frication: float = 0.0
    noise_hz: float = 4_000.0
    noise_bandwidth_hz: float = 2_000.0
    nasal_zero_hz: float = 270.0


NASAL_POLE_HZ = 270.0
"""Klatt 1980: the nasal pole, cancelled by a zero of the same frequency."""


def _vowel(f1: float, f2: float, f3: float, duration_ms: float) -> Phone:
    return Phone((f1, f2, f3), duration_ms, voicing=1.0)


PHONES: dict[str, Phone] = {
    "silence": Phone((500.0, 1500.0, 2500.0), 60.0),
    "iy": _vowel(270.0, 2290.0, 3010.0, 150.0),
    "ih": _vowel(390.0, 1990.0, 2550.0, 80.0),
    "eh": _vowel(530.0, 1840.0, 2480.0, 100.0),
    "aa": _vowel(730.0, 1090.0, 2440.0, 120.0),
    "ao": _vowel(570.0, 840.0, 2410.0, 120.0),
    "uh": _vowel(440.0, 1020.0, 2240.0, 80.0),
    "uw": _vowel(300.0, 870.0, 2240.0, 150.0),
    "ah": _vowel(640.0, 1190.0, 2390.0, 110.0),
    "ax": _vowel(500.0, 1400.0, 2400.0, 60.0),
    "w": Phone((290.0, 610.0, 2150.0), 80.0, (50.0, 80.0, 60.0), voicing=0.7),
    "r": Phone((310.0, 1060.0, 1380.0), 80.0, (70.0, 100.0, 120.0), voicing=0.7),
    "n": Phone(
        (480.0, 1340.0, 2470.0),
        85.0,
        (40.0, 300.0, 300.0),
        voicing=0.6,
        nasal_zero_hz=450.0,
    ),
    "v": Phone(
        (220.0, 1100.0, 2080.0),
        65.0,
        (60.0, 90.0, 120.0),
        voicing=0.35,
        frication=0.05,
        noise_hz=4_500.0,
        noise_bandwidth_hz=4_000.0,
    ),
    "f": Phone(
        (340.0, 1100.0, 2080.0),
        110.0,
        (200.0, 120.0, 150.0),
        frication=0.09,
        noise_hz=4_500.0,
        noise_bandwidth_hz=4_000.0,
    ),
    "th": Phone(
        (320.0, 1290.0, 2540.0),
        105.0,
        (200.0, 90.0, 200.0),
        frication=0.07,
        noise_hz=6_000.0,
        noise_bandwidth_hz=3_000.0,
    ),
    "s": Phone(
        (320.0, 1390.0, 2530.0),
        115.0,
        (200.0, 80.0, 200.0),
        frication=0.35,
        noise_hz=5_500.0,
        noise_bandwidth_hz=1_200.0,
    ),
    "z": Phone(
        (240.0, 1390.0, 2530.0),
        85.0,
        (70.0, 60.0, 180.0),
        voicing=0.3,
        frication=0.2,
        noise_hz=5_500.0,
        noise_bandwidth_hz=1_200.0,
    ),
    "t closure": Phone((400.0, 1600.0, 2600.0), 55.0),
    "t burst": Phone(
        (400.0, 1600.0, 2600.0),
        20.0,
        (300.0, 120.0, 250.0),
        aspiration=0.1,
        frication=0.5,
        noise_hz=4_200.0,
        noise_bandwidth_hz=1_500.0,
    ),
    "t breath": Phone((400.0, 1600.0, 2600.0), 30.0, aspiration=0.12),
    "k closure": Phone((300.0, 1990.0, 2850.0), 60.0),
    "k burst": Phone(
        (300.0, 1990.0, 2850.0),
        25.0,
        (250.0, 160.0, 330.0),
        aspiration=0.1,
        frication=0.5,
        noise_hz=2_000.0,
        noise_bandwidth_hz=500.0,
    ),
}
NAMES = tuple(PHONES)

DIGITS: dict[str, tuple[str, ...]] = {
    "ZERO": ("z", "ih", "r", "ao", "uh"),
    "ONE": ("w", "ah", "n"),
    "TWO": ("t closure", "t burst", "t breath", "uw"),
    "THREE": ("th", "r", "iy"),
    "FOUR": ("f", "ao", "r"),
    "FIVE": ("f", "aa", "ih", "v"),
    "SIX": ("s", "ih", "k closure", "k burst", "s"),
    "SEVEN": ("s", "eh", "v", "ax", "n"),
    "EIGHT": ("eh", "ih", "t closure", "t burst", "t breath"),
    "NINE": ("n", "aa", "ih", "n"),
}
