"""Waveforms as a caller has them: arrays or tensors, floats or int16, of any rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from d2v_core.data.speech.audio_files import MAX_RATE_HZ, MIN_RATE_HZ, resample
from d2v_core.errors import refused


def as_waves(
    samples: Any, sample_rate: int, where: str = "samples"
) -> list[np.ndarray]:
    """Each waveform as float32 at 16 kHz.

    Args:
        samples: Arrays or tensors of one dimension, floats in [-1, 1] or int16.
        sample_rate: Sample rate of the samples, in Hz.
        where: Name of the argument, for messages.

    Raises:
        ConfigError: A waveform is of another shape or type, or not finite.
    """
    if not MIN_RATE_HZ <= sample_rate <= MAX_RATE_HZ:
        message = f"must be {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz, got {sample_rate:,}"
        raise refused("sample_rate", message)
    return [_wave(wave, sample_rate, f"{where}[{i}]") for i, wave in enumerate(samples)]


def _wave(given: Any, sample_rate: int, where: str) -> np.ndarray:
    array = np.asarray(given)
    if array.ndim != 1 or not len(array):
        message = f"must have one dimension and not be empty, got {array.shape}"
        raise refused(where, message)
    if array.dtype == np.int16:
        array = array / 32_768.0
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        message = f"must be of finite floats or int16, got {array.dtype}"
        raise refused(where, message)
    wave: np.ndarray = resample(array.astype(np.float32), sample_rate)
    return wave
