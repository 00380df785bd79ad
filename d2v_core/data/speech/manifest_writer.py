"""fairseq manifests of a folder of audio: ``train.tsv`` and ``valid.tsv``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile

from d2v_core.config.speech_data import AudioFolderData
from d2v_core.data.progress import with_progress
from d2v_core.data.speech.audio_files import NUM_DECODING_THREADS
from d2v_core.data.speech.audio_folder import find_audio
from d2v_core.data.splits import hold_out_named
from d2v_core.data.walk import MIN_FILES
from d2v_core.errors import DataError

UNWRITABLE = ("\t", "\n", "\r")
"""What a name in a manifest must not hold."""


@dataclass(frozen=True)
class WrittenManifests:
    """What was written.

    Attributes:
        files: Files listed, by path of the manifest.
        left_out: Files that are not, with the reason.
    """

    files: dict[Path, int]
    left_out: tuple[tuple[Path, str], ...]


def write_manifests(folder: Path, out: Path, valid_fraction: float) -> WrittenManifests:
    """List every audio file below a folder, as fairseq's ``wav2vec_manifest.py`` does.

    The first line is the whole path of the folder, every other ``path<TAB>samples`` at
    the file's own rate. Files are held out by a hash of their path.

    Args:
        folder: Folder of the audio.
        out: Folder of the manifests, made if need be.
        valid_fraction: Share of the files in ``valid.tsv``.

    Raises:
        DataError: There are fewer than two readable files, or other manifests lie in
            ``out``.
    """
    audio = find_audio(AudioFolderData(folder=str(folder.absolute())))

    def samples(path: Path) -> int | str:
        if any(letter in audio.name(path) for letter in UNWRITABLE):
            return "has a tab or a line end in its name"
        try:
            frames: int = soundfile.info(path).frames
        except (soundfile.SoundFileError, OSError) as error:
            return f"cannot be read ({str(error).replace(str(path), path.name)})"
        return frames or "has no samples"

    with ThreadPoolExecutor(NUM_DECODING_THREADS) as pool:
        counted = pool.map(samples, audio.paths)
        counts = list(
            with_progress(counted, "reading", len(audio.paths), "audio files")
        )
    rows, left_out = [], []
    for path, count in zip(audio.paths, counts, strict=True):
        if isinstance(count, str):
            left_out.append((path, count))
        else:
            rows.append((audio.name(path), count))
    if len(rows) < MIN_FILES:
        message = f"at least {MIN_FILES} audio files must be readable"
        raise DataError(f"{audio.root}: {message}, {len(rows)} is")
    kept, held = hold_out_named([name for name, _ in rows], valid_fraction)
    texts = {
        out / f"{split}.tsv": "\n".join(
            [str(audio.root), *(f"{rows[i][0]}\t{rows[i][1]}" for i in chosen), ""]
        )
        for split, chosen in (("train", kept), ("valid", held))
    }
    _write(texts)
    sizes = {file: text.count("\n") - 1 for file, text in texts.items()}
    return WrittenManifests(sizes, tuple(left_out))


def _write(texts: dict[Path, str]) -> None:
    """Write all of them, but over no other ones."""
    for file, text in texts.items():
        if file.exists() and file.read_bytes() != text.encode(errors="surrogateescape"):
            message = "must not be there yet, or be the same; give another --out"
            raise DataError(f"{file}: {message}")
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode(errors="surrogateescape"))
