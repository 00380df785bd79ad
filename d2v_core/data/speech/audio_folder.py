"""Any folder of audio files without labels, flat or nested; some are held out.

Files of any rate and length: long ones are read as several pieces, so that neither
memory nor attention grows with the length of a file.
"""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from d2v_core.config.speech_data import AudioFolderData
from d2v_core.data.cache import content_key, files_digest
from d2v_core.data.inventory import Inventory, too_few
from d2v_core.data.speech.audio_files import (
    DECODING_VERSION,
    NUM_DECODING_THREADS,
    open_audio,
    without_short,
)
from d2v_core.data.speech.files import refuse, skipped_note
from d2v_core.data.speech.utterances import AudioFile, SpeechDataset, Utterances
from d2v_core.data.splits import hold_out_named
from d2v_core.data.vision.folders import source_folder
from d2v_core.data.walk import MIN_FILES, FoundFiles, find_files
from d2v_core.errors import DataError

AUDIO_SUFFIXES = (".flac", ".ogg", ".wav")
MAX_PIECES = 10_000
"""Most pieces of one file; a header that claims more is not believed."""


def find_audio(data: AudioFolderData) -> FoundFiles:
    """List every audio file below the folder.

    Raises:
        DataError: The folder is not there, or holds fewer than two such files.
    """
    return find_files(
        source_folder(data.root, data.folder), AUDIO_SUFFIXES, "audio files"
    )


def audio_digest(recordings: FoundFiles) -> str:
    """Digest the files: 16 hex digits."""
    return files_digest(recordings.root, recordings.paths)


def load_audio_folder(
    data: AudioFolderData, *, least_samples: int = 1
) -> SpeechDataset:
    """Decode or open the files; ``valid`` is held out, ``test`` is empty.

    Args:
        data: Where the files are, and how they are cut and held out.
        least_samples: At 16 kHz; shorter pieces count as broken.

    Raises:
        DataError: Files that are broken, all named at once, or too few are left.
    """
    recordings = find_audio(data)
    digest = audio_digest(recordings)
    pieces = cut(recordings.paths, data.piece_seconds)
    content = content_key(recordings.root, recordings.paths, digest)
    key = f"{content}-pieces-{data.piece_seconds:g}-v{DECODING_VERSION}"
    opened = open_audio(pieces, cache_key=key, sample_rate_hz=None)
    opened = without_short(opened, pieces, least_samples)
    refuse([], dict(opened.broken) if data.on_error == "raise" else {})
    files = [recordings.name(pieces[i].path) for i in opened.kept]
    names = sorted(set(files))
    if len(names) < MIN_FILES:
        message = f"at least {MIN_FILES} audio files must be whole, {len(names)} is"
        raise DataError(f"{recordings.root}: {message}")
    _, held = hold_out_named(names, data.held_out_fraction)
    is_held = np.isin(files, [names[i] for i in held])
    everything = Utterances(audio=opened.audio, texts=None, labels={})
    train = everything.subset(np.flatnonzero(~is_held))
    valid = everything.subset(np.flatnonzero(is_held))
    left_out = Counter(recordings.left_out)
    left_out += Counter({"broken or too short": len(pieces) - len(opened.kept)})
    return SpeechDataset(
        name=f"audio in {recordings.root.name}, no labels",
        digest=digest,
        classes=(),
        pretrain=train,
        train=train,
        valid=valid,
        test=everything.subset(np.zeros(0, np.int64)),
        notes=(
            *_notes(recordings, pieces, opened.broken, data),
            *too_few(len(opened.kept), "recordings"),
        ),
        inventory=Inventory(
            unit="pieces of audio files" if _is_cut(pieces) else "audio files",
            used={"train": len(train), "held out": len(valid)},
            left_out=left_out,
        ),
        labelled=False,
    )


def cut(paths: list[Path], seconds: float) -> list[AudioFile]:
    """Cut files into equal pieces of at most so many seconds; reads headers alone."""

    def pieces(path: Path) -> list[AudioFile]:
        try:
            header = soundfile.info(path)
        except (soundfile.SoundFileError, OSError):
            return [AudioFile(path)]  # whoever decodes it says what is wrong
        count = math.ceil(header.frames / (seconds * header.samplerate))
        if not 1 < count <= MAX_PIECES:
            return [AudioFile(path)]
        ends = [round(i * header.frames / count) for i in range(count + 1)]
        return [
            AudioFile(path, start=start, stop=stop)
            for start, stop in zip(ends[:-1], ends[1:], strict=True)
        ]

    with ThreadPoolExecutor(NUM_DECODING_THREADS) as pool:
        return [piece for some in pool.map(pieces, paths) for piece in some]


def _is_cut(pieces: list[AudioFile]) -> bool:
    return any(piece.stop is not None for piece in pieces)


def _notes(
    recordings: FoundFiles,
    pieces: list[AudioFile],
    broken: tuple[tuple[str, str], ...],
    data: AudioFolderData,
) -> tuple[str, ...]:
    notes = []
    if broken:
        notes.append(skipped_note(recordings.root.name, len(pieces), broken))
    if _is_cut(pieces):
        long = len({piece.path for piece in pieces if piece.stop is not None})
        longer = f"longer than data.piece_seconds ({data.piece_seconds:g})"
        notes.append(
            f"read in pieces, {longer}: {long} of {len(recordings.paths)} files"
        )
    return tuple(notes)
