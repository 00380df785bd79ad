"""A folder of audio files, looked at."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image

from d2v_core.config.speech_data import AudioFolderData, ManifestData, SpeechData
from d2v_core.data.check.checked import (
    Checked,
    Shown,
    extent,
    inventory_facts,
    spread,
)
from d2v_core.data.inventory import listed, too_few
from d2v_core.data.speech.audio_files import BrokenAudioError, decode_audio
from d2v_core.data.speech.audio_folder import find_audio
from d2v_core.data.speech.dataset import load_speech
from d2v_core.data.speech.files import list_splits
from d2v_core.data.speech.utterances import AudioFile, SpeechDataset, Waveform
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.sizing import AudioFacts

MAX_HEADERS = 2_000
"""Files whose rate and channels are looked at."""
SHOWN_SECONDS = 5
"""Most seconds of a file."""
WINDOW = 400
"""Samples of a spectrum: 25 ms."""
DYNAMIC_RANGE_DB = 80.0


def check_audio(folder: Path, source: str) -> Checked:
    """Decode every file of a folder once and tell what it holds.

    Args:
        folder: An existing folder.
        source: ``audio_folder`` or ``manifest``.

    Raises:
        DataError: It cannot be used.
    """
    data: SpeechData
    if source == "audio_folder":
        data = AudioFolderData(folder=str(folder), on_error="skip")
        paths = find_audio(data).paths
    else:
        data = ManifestData(folder=str(folder), on_error="skip")
        splits = list_splits(data).values()
        paths = [file.path for listing in splits for file in listing.files]
    dataset = load_speech(data)
    used = sum(dataset.inventory.used.values())
    return Checked(
        modality="speech",
        source=source,
        labelled=dataset.labelled,
        facts=(
            *inventory_facts(dataset.inventory),
            *_labels(dataset),
            *_durations(dataset),
            *_headers(paths),
        ),
        warnings=(
            *dataset.inventory.suspicious,
            *dataset.notes,
            *too_few(used, "recordings"),
        ),
        samples=tuple(
            shown
            for i in spread(len(paths), 8)
            if (shown := _shown(paths[i], folder)) is not None
        ),
        sizes=AudioFacts(used, float(np.median(_seconds(dataset)))),
    )


def _labels(dataset: SpeechDataset) -> list[tuple[str, str]]:
    if not dataset.labelled:
        return [("labels", "none, so RankMe is the score")]
    facts = []
    if dataset.train.texts is not None:
        letters = len(dataset.classes) - 2
        facts.append(("transcripts", f"with {letters} different characters"))
    for kind, labels in dataset.train.labels.items():
        counts = Counter(labels)
        shown = listed(f"{name} {count:,}" for name, count in counts.most_common())
        facts.append((f"labels: {kind}", f"{len(counts):,}: {shown}"))
    return facts


def _seconds(dataset: SpeechDataset) -> np.ndarray:
    splits = (dataset.train, dataset.valid, dataset.test)
    lengths = np.concatenate([split.audio.lengths for split in splits])
    seconds: np.ndarray = lengths / SAMPLE_RATE_HZ
    return seconds


def _durations(dataset: SpeechDataset) -> list[tuple[str, str]]:
    seconds = _seconds(dataset)
    total = round(float(seconds.sum()))
    clock = f"{total // 3600}:{total // 60 % 60:02d}:{total % 60:02d}"
    return [("together", clock), ("seconds", extent(seconds.tolist(), "{:,.2f}"))]


def _headers(paths: Sequence[Path]) -> list[tuple[str, str]]:
    looked_at = [paths[i] for i in spread(len(paths), MAX_HEADERS)]
    kinds = Counter[str]()
    for path in looked_at:
        try:
            header = soundfile.info(path)
        except (soundfile.SoundFileError, OSError):
            continue
        sound = {1: "mono", 2: "stereo"}.get(header.channels, f"{header.channels} ch")
        kinds[f"{header.format} {header.samplerate:,} Hz {sound}"] += 1
    of = f" (of {len(looked_at):,} files)" if len(looked_at) < len(paths) else ""
    shown = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(10))
    return [(f"formats{of}", shown)] if shown else []


def _shown(path: Path, folder: Path) -> Shown | None:
    """Give the spectrogram of a file's beginning; None: it does not decode."""
    try:
        header = soundfile.info(path)
        stop = min(header.frames, SHOWN_SECONDS * header.samplerate)
        wave = decode_audio(AudioFile(path, stop=stop))
    except (BrokenAudioError, soundfile.SoundFileError, OSError):
        return None
    name = path.relative_to(folder).as_posix() if folder in path.parents else path.name
    about = f"{header.duration:.2f} s at {header.samplerate:,} Hz"
    if header.frames > stop:
        about += f", the first {SHOWN_SECONDS} s"
    return Shown(name=name, about=about, picture=spectrogram(wave))


def spectrogram(wave: Waveform) -> bytes:
    """Draw a waveform at 16 kHz: time to the right, 0 to 8 kHz upwards; a PNG."""
    padded = torch.from_numpy(np.pad(wave, (0, max(0, WINDOW - len(wave)))))
    spectrum = torch.stft(
        padded,
        n_fft=WINDOW,
        hop_length=WINDOW // 2,
        window=torch.hann_window(WINDOW),
        return_complex=True,
    )
    decibels = 20.0 * torch.log10(spectrum.abs().clamp_min(1e-6)).numpy()
    top = float(decibels.max())
    grey = np.clip((decibels - top) / DYNAMIC_RANGE_DB + 1.0, 0.0, 1.0)
    pixels = (255 * (1.0 - grey[::-1])).astype(np.uint8)
    image = Image.fromarray(pixels).resize((320, 120), Image.Resampling.BILINEAR)
    file_like = io.BytesIO()
    image.save(file_like, "PNG")
    return file_like.getvalue()
