"""wav and flac files as mono waveforms at 16 kHz.

Small sets are decoded once into a memory-mapped cache keyed by digest; sets whose
decoded waveforms would exceed :data:`MAX_CACHED_BYTES` are decoded when read. Either
way every file is decoded once beforehand, so that broken ones are known.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import IO, Any

import numpy as np
import soundfile
import torch
from scipy.signal import resample_poly
from torchaudio.transforms import Resample

from d2v_core.data.cache import CacheEntry
from d2v_core.data.progress import with_progress
from d2v_core.data.speech.utterances import (
    ArrayAudio,
    AudioFile,
    AudioReader,
    SubsetAudio,
    Waveform,
)
from d2v_core.errors import DataError
from d2v_core.frames import SAMPLE_RATE_HZ

MAX_CACHED_BYTES = 4 * 2**30
NUM_DECODING_THREADS = min(16, os.cpu_count() or 1)
FILES_AT_A_TIME = 256
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 192_000
MAX_CHANNELS = 64
MAX_SECONDS = 3_600
"""Longest utterance; an hour of it takes 230 MB."""
LEAST_SHARE = 1e-3
"""Least power of the channels' average, as a share of the loudest channel's."""
MAX_KERNEL = 2**22
"""Entries of torchaudio's kernel, about; of usual rates 11,025 Hz has most, 282,240."""
DECODING_VERSION = 2
"""Part of the names of cached files; raise it when files are decoded otherwise."""


class BrokenAudioError(DataError):
    """Raised for a file that is not what it should be; the message is the reason."""


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
        file = self.files[index]
        try:
            return decode_audio(file)
        except BrokenAudioError as error:  # it was whole when the data was checked
            raise DataError(f"data: {file.path} is no longer whole: {error}") from error


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
    """Decode one file at 16 kHz; several channels are averaged.

    Args:
        file: The file.
        sample_rate_hz: Rate it must have; None: any.

    Raises:
        BrokenAudioError: It is missing, unreadable, empty or not as it should be.
    """
    if not file.path.is_file():
        raise BrokenAudioError("there is no such file")
    try:
        with soundfile.SoundFile(file.path) as opened:
            stop = opened.frames if file.stop is None else file.stop
            claimed = stop - file.start
            _check_header(opened, sample_rate_hz, claimed)
            opened.seek(file.start)
            samples = opened.read(claimed, dtype="float32", always_2d=True)
            rate = opened.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        reason = str(error).replace(str(file.path), file.path.name)
        raise BrokenAudioError(f"cannot be read ({reason})") from None
    if file.num_samples is not None and len(samples) != file.num_samples:
        raise BrokenAudioError(
            f"must have the manifest's {file.num_samples} samples, has {len(samples)}"
        )
    if not len(samples):
        raise BrokenAudioError("has no samples")
    if len(samples) < claimed:
        raise BrokenAudioError(f"is cut short: {len(samples)} of {claimed} samples")
    if not np.isfinite(samples).all():
        raise BrokenAudioError("has samples that are not finite")
    wave = samples.mean(axis=1)
    loudest = np.square(samples).mean(axis=0).max()
    if np.square(wave).mean() < LEAST_SHARE * loudest:
        raise BrokenAudioError("has channels that cancel each other out when averaged")
    return resample(wave, rate)


def _check_header(
    file: soundfile.SoundFile, sample_rate_hz: int | None, claimed: int
) -> None:
    """Refuse what a header claims before memory is asked for its samples.

    Raises:
        BrokenAudioError: Rate, length or number of channels is out of bounds.
    """
    rate = file.samplerate
    if sample_rate_hz is not None and rate != sample_rate_hz:
        raise BrokenAudioError(f"must be sampled at {sample_rate_hz} Hz, is at {rate}")
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        bounds = f"{MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz"
        raise BrokenAudioError(f"must be sampled at {bounds}, is at {rate:,}")
    if file.channels > MAX_CHANNELS:
        message = f"must have at most {MAX_CHANNELS} channels"
        raise BrokenAudioError(f"{message}, has {file.channels:,}")
    if claimed > MAX_SECONDS * rate:
        message = f"must last at most {MAX_SECONDS:,} seconds"
        raise BrokenAudioError(f"{message}, claims {claimed / rate:,.0f}")


def resample(wave: Waveform, rate_hz: int) -> Waveform:
    """Resample to 16 kHz by windowed sinc: ``ceil(samples * 16000 / rate)`` samples.

    torchaudio's kernel has as many entries as the product of both rates over their
    greatest common divisor squared: gigabytes for 16,001 Hz. Such rates go through
    SciPy's, whose filter is as long as their sum.
    """
    if rate_hz == SAMPLE_RATE_HZ:
        return wave
    divisor = math.gcd(rate_hz, SAMPLE_RATE_HZ)
    up, down = SAMPLE_RATE_HZ // divisor, rate_hz // divisor
    resampled: np.ndarray
    if up * down > MAX_KERNEL:
        resampled = resample_poly(wave, up, down).astype(np.float32)
        return resampled
    with torch.inference_mode():
        resampled = _resampler(rate_hz)(torch.from_numpy(wave)).numpy()
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


def without_short(
    opened: OpenedAudio, files: Sequence[AudioFile], least_samples: int
) -> OpenedAudio:
    """Count utterances of too few samples among the broken ones.

    Args:
        opened: The audio of a split.
        files: All files of the split.
        least_samples: Fewest samples at 16 kHz that an encoder makes a frame of.
    """
    long = opened.audio.lengths >= least_samples
    if long.all():
        return opened
    message = f"must have {least_samples} samples at 16 kHz to make a frame, has"
    short = tuple(
        (str(files[index].path), f"{message} {length}")
        for index, length in zip(
            opened.kept[~long], opened.audio.lengths[~long], strict=True
        )
    )
    return OpenedAudio(
        audio=SubsetAudio(opened.audio, np.flatnonzero(long)),
        kept=opened.kept[long],
        broken=(*opened.broken, *short),
    )


def _decode_into(
    about: dict[str, Any],
    files: Sequence[AudioFile],
    sample_rate_hz: int | None,
    file: IO[bytes],
) -> None:
    """Write the waveforms, unless they are too large; fill in lengths and reasons."""
    decoded = _decode_each(files, sample_rate_hz)
    decoded = with_progress(decoded, "decoding", len(files), "recordings")
    for position, wave in enumerate(decoded):
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
    """Decode each file, or say what is wrong with it."""

    def decode(file: AudioFile) -> Waveform | str:
        try:
            return decode_audio(file, sample_rate_hz=sample_rate_hz)
        except BrokenAudioError as error:
            return str(error)

    with ThreadPoolExecutor(NUM_DECODING_THREADS) as pool:
        for start in range(0, len(files), FILES_AT_A_TIME):
            yield from pool.map(decode, files[start : start + FILES_AT_A_TIME])
