"""Waveforms in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2v_core.api.samples import Given, content_digest
from d2v_core.config.speech import SpeechTrial
from d2v_core.data.inventory import Inventory
from d2v_core.data.speech.audio_files import MAX_RATE_HZ, MIN_RATE_HZ, resample
from d2v_core.data.speech.utterances import ArrayAudio, SpeechDataset, Utterances
from d2v_core.errors import ConfigError, Problem
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.sizing import AudioFacts, SizedFor, settings_for


@dataclass(frozen=True)
class GivenWaves(Given):
    """Waveforms at 16 kHz, each of its own length.

    Attributes:
        waves: float32 in [-1, 1], of one dimension each.
        sized_for: The machine a recipe is to suit.
    """

    waves: Sequence[np.ndarray]
    sized_for: SizedFor

    @property
    def settings(self) -> Mapping[str, Any]:
        """A recipe for recordings of this length."""
        seconds = float(np.median([len(wave) for wave in self.waves])) / SAMPLE_RATE_HZ
        return settings_for(AudioFacts(len(self.waves), seconds), self.sized_for)

    @property
    def digest(self) -> str:
        """Of all samples."""
        return content_digest(wave.tobytes() for wave in self.waves)

    def dataset(self, trial: SpeechTrial) -> SpeechDataset:
        """Utterances without transcripts."""
        lengths = np.array([len(wave) for wave in self.waves], np.int64)
        audio = ArrayAudio(np.concatenate(list(self.waves)), lengths)
        split = Utterances(audio, texts=None, labels={})
        return SpeechDataset(
            name="waveforms in memory",
            digest=self.digest,
            classes=(),
            pretrain=split,
            train=split,
            valid=split,
            test=split,
            inventory=Inventory("utterances", {"train": len(split)}),
        )


def as_waves(
    samples: Any, sample_rate: int, where: str = "samples"
) -> list[np.ndarray]:
    """Each waveform as float32 at 16 kHz.

    Args:
        samples: Arrays or tensors of one dimension, floats in [-1, 1] or int16.
        sample_rate: Of the samples, in Hz.
        where: Name of the argument, for messages.

    Raises:
        ConfigError: A waveform is of another shape or type, or not finite.
    """
    if not MIN_RATE_HZ <= sample_rate <= MAX_RATE_HZ:
        message = f"must be {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz, got {sample_rate:,}"
        raise ConfigError([Problem("sample_rate", message)])
    return [_wave(wave, sample_rate, f"{where}[{i}]") for i, wave in enumerate(samples)]


def _wave(given: Any, sample_rate: int, where: str) -> np.ndarray:
    array = np.asarray(given)
    if array.ndim != 1 or not len(array):
        message = f"must have one dimension and not be empty, got {array.shape}"
        raise ConfigError([Problem(where, message)])
    if array.dtype == np.int16:
        array = array / 32_768.0
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        message = f"must be of finite floats or int16, got {array.dtype}"
        raise ConfigError([Problem(where, message)])
    wave: np.ndarray = resample(array.astype(np.float32), sample_rate)
    return wave
