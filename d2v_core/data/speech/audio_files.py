"""wav and flac files as mono waveforms at 16 kHz.

Small sets are decoded once into a memory-mapped cache keyed by digest; sets whose
decoded waveforms would exceed :data:`MAX_CACHED_BYTES` are decoded when read. Either
way every file is decoded once beforehand, so that broken ones are known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import IO, Any

import numpy as np
import soundfile
import torch
from torchaudio.transforms import Resample

from d2v_core.data.cache import CacheEntry
from d2v_core.data.speech.utterances import ArrayAudio, AudioFile, AudioReader, Waveform
from d2v_core.frames import SAMPLE_RATE_HZ

MAX_CACHED_BYTES = 4 * 2**30
NUM_DECODING_THREADS = min(16, os.cpu_count() or 1)
FILES_AT_A_TIME = 256
DECODING_VERSION = 2
"""Part of the names of cached files; raise it when files are decoded otherwise."""


class BrokenAudioError(ValueError):
    """A file is not what it should be; the message is the reason."""


class FileAudio:
    """Audio files, decoded when read.

    Args:
        files: One per utterance.
        lengths: Samples of each at 16 kHz.
    """

    def __init__(self, files: Sequence[AudioFile], lengths: np.ndarray) -> None:
        self.files, self.lengths = list(files), lengths

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Waveform:
        """Decode one file."""
        return decode_audio(self.files[index])


@dataclass(frozen=True)
class OpenedAudio:
    """The audio of one split.

    Attributes:
        audio: The files that are whole.
        kept: Their positions among all files.
        broken: Path of every other file, and the reason.
    """

    audio: AudioReader
    kept: np.ndarray
    broken: tuple[tuple[str, str], ...]


def decode_audio(file: AudioFile, *, sample_rate_hz: int | None = None) -> Waveform:
    """One file at 16 kHz; several channels are averaged.

    Args:
        file: The file.
        sample_rate_hz: Rate it must have; None: any.

    Raises:
        BrokenAudioError: It is missing, unreadable, empty or not as it should be.
    """
    if not file.path.is_file():
        raise BrokenAudioError("there is no such file")
    try:
        samples, rate = soundfile.read(file.path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        reason = str(error).replace(str(file.path), file.path.name)
        raise BrokenAudioError(f"cannot be read ({reason})") from None
    if sample_rate_hz is not None and rate != sample_rate_hz:
        raise BrokenAudioError(f"must be sampled at {sample_rate_hz} Hz, is at {rate}")
    if file.num_samples is not None and len(samples) != file.num_samples:
        raise BrokenAudioError(
            f"must have the manifest's {file.num_samples} samples, has {len(samples)}"
        )
    if not len(samples):
        raise BrokenAudioError("has no samples")
    if not np.isfinite(samples).all():
        raise BrokenAudioError("has samples that are not finite")
    return resample(samples.mean(axis=1), rate)


def resample(wave: Waveform, rate_hz: int) -> Waveform:
    """To 16 kHz by windowed sinc (torchaudio): ``ceil(samples * 16000 / rate)``."""
    if rate_hz == SAMPLE_RATE_HZ:
        return wave
    with torch.inference_mode():
        resampled: np.ndarray = _resampler(rate_hz)(torch.from_numpy(wave)).numpy()
    return resampled


@lru_cache(maxsize=8)
def _resampler(rate_hz: int) -> Resample:
    return Resample(rate_hz, SAMPLE_RATE_HZ)


def open_audio(
    files: Sequence[AudioFile], *, cache_key: str, sample_rate_hz: int | None
) -> OpenedAudio:
    """Decode and check every file, unless the cache knows the result.

    Args:
        files: The audio of a split.
        cache_key: Changes when a file changes.
        sample_rate_hz: Rate every file must have; None: any.
    """
    entry = CacheEntry("speech", cache_key)
    known = entry.read()
    if known is None:
        known = {"lengths": [], "broken": {}, "decoded": True}
        write = partial(_decode_into, known, files, sample_rate_hz)
        entry.write(known, {"f32": write})
    lengths = np.array(known["lengths"], np.int64)
    reasons: dict[str, str] = known["broken"]
    kept = np.setdiff1d(np.arange(len(files)), [int(i) for i in reasons])
    whole = [files[i] for i in kept]
    audio: AudioReader = FileAudio(whole, lengths)
    if known["decoded"] and len(lengths):
        decoded = np.memmap(entry.file("f32"), np.float32, mode="r")
        audio = ArrayAudio(decoded, lengths)
    broken = tuple((str(files[int(i)].path), text) for i, text in reasons.items())
    return OpenedAudio(audio=audio, kept=kept, broken=broken)


def _decode_into(
    about: dict[str, Any],
    files: Sequence[AudioFile],
    sample_rate_hz: int | None,
    file: IO[bytes],
) -> None:
    """Write the waveforms, unless they are too large; fill in lengths and reasons."""
    for position, wave in enumerate(_decode_each(files, sample_rate_hz)):
        if isinstance(wave, str):
            about["broken"][str(position)] = wave
            continue
        about["lengths"].append(len(wave))
        fits = file.tell() + wave.nbytes <= MAX_CACHED_BYTES
        about["decoded"] = about["decoded"] and fits
        if about["decoded"]:
            file.write(wave.tobytes())
    if not about["decoded"]:
        file.seek(0)
        file.truncate()


def _decode_each(
    files: Sequence[AudioFile], sample_rate_hz: int | None
) -> Iterator[Waveform | str]:
    """Waveform of each file, or what is wrong with it."""

    def decode(file: AudioFile) -> Waveform | str:
        try:
            return decode_audio(file, sample_rate_hz=sample_rate_hz)
        except BrokenAudioError as error:
            return str(error)

    with ThreadPoolExecutor(NUM_DECODING_THREADS) as pool:
        for start in range(0, len(files), FILES_AT_A_TIME):
            yield from pool.map(decode, files[start : start + FILES_AT_A_TIME])
