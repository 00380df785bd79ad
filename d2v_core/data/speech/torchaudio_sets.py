"""LibriSpeech and Speech Commands through torchaudio, from the data root.

torchaudio finds files, transcripts, speakers and official splits; the audio is read by
soundfile, as torchaudio 2.11 decodes through TorchCodec only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torchaudio import datasets

from d2v_core.config.speech_data import LibriSpeechData, SpeechCommandsData
from d2v_core.data.speech.utterances import AudioFile, Listing
from d2v_core.data.vision.folders import data_root
from d2v_core.errors import DataError

COMMAND_SUBSETS = {"train": "training", "valid": "validation", "test": "testing"}


def list_librispeech(data: LibriSpeechData) -> dict[str, Listing]:
    """List the four splits.

    Raises:
        DataError: A subset is not below the root.
    """
    wanted = {
        "pretrain": data.pretrain,
        "train": data.train,
        "valid": (data.valid,),
        "test": (data.test,),
    }
    subsets = dict.fromkeys(name for names in wanted.values() for name in names)
    listed = {name: _list_subset(data, name) for name in subsets}
    return {
        split: joined([listed[name] for name in names])
        for split, names in wanted.items()
    }


def _list_subset(data: LibriSpeechData, subset: str) -> Listing:
    root = data_root(data.root)
    try:
        dataset = datasets.LIBRISPEECH(root, subset, download=data.download)
    except RuntimeError as error:
        raise DataError(
            f"data.root: torchaudio finds no LibriSpeech {subset} below {root} "
            f"({error}); it must hold LibriSpeech/{subset} as the archive lays it out, "
            "or set data.download=true"
        ) from None
    archive = root / "LibriSpeech"
    files, texts, speakers, errors = [], [], [], []
    for i in range(len(dataset)):
        try:
            path, _, text, speaker, _, _ = dataset.get_metadata(i)
        except (OSError, ValueError) as error:
            errors.append(f"{archive / subset}: every file needs a transcript: {error}")
            continue
        files.append(AudioFile(archive / path))
        texts.append(" ".join(text.split()))
        speakers.append(str(speaker))
    if not len(dataset):
        errors.append(f"{archive / subset}: must hold flac files, holds none")
    return Listing(
        name=subset,
        files=tuple(files),
        texts=tuple(texts),
        labels={"speaker": tuple(speakers)},
        sources=tuple(sorted((archive / subset).glob("*/*/*.trans.txt"))),
        errors=tuple(errors),
    )


def joined(listings: list[Listing]) -> Listing:
    """Join several listings to one split."""
    first, *more = listings
    if not more:
        return first
    return Listing(
        name="+".join(listing.name for listing in listings),
        files=tuple(file for listing in listings for file in listing.files),
        texts=tuple(text for listing in listings for text in listing.texts or ()),
        labels={"speaker": _chained(listing.labels["speaker"] for listing in listings)},
        sources=tuple(path for listing in listings for path in listing.sources),
        errors=_chained(listing.errors for listing in listings),
    )


def _chained(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(value for part in parts for value in part)


def list_speech_commands(data: SpeechCommandsData) -> dict[str, Listing]:
    """List the three official splits.

    Raises:
        DataError: The set is not below the root.
    """
    root = data_root(data.root)
    version = f"speech_commands_{data.version}"
    splits = {}
    for split, subset in COMMAND_SUBSETS.items():
        try:
            dataset = datasets.SPEECHCOMMANDS(
                root, url=version, subset=subset, download=data.download
            )
        except (RuntimeError, FileNotFoundError) as error:
            raise DataError(
                f"data.root: torchaudio finds no Speech Commands below {root} "
                f"({error}); it must hold SpeechCommands/{version} as the archive lays "
                "it out, or set data.download=true"
            ) from None
        rows = [dataset.get_metadata(i) for i in range(len(dataset))]
        archive = root / "SpeechCommands"
        splits[split] = _list_commands(subset, archive, version, rows)
    return splits


def _list_commands(
    subset: str, archive: Path, version: str, rows: list[tuple[str, int, str, str, int]]
) -> Listing:
    words = tuple(word for _, _, word, _, _ in rows)
    folder = archive / version
    lists = [folder / "validation_list.txt", folder / "testing_list.txt"]
    empty = () if rows else (f"{folder}: the {subset} split must not be empty",)
    return Listing(
        name=subset,
        files=tuple(AudioFile(archive / path) for path, *_ in rows),
        texts=words,
        labels={"word": words, "speaker": tuple(speaker for *_, speaker, _ in rows)},
        sources=tuple(lists),
        errors=empty,
    )
