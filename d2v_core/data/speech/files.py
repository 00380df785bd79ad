"""Speech on disk: manifests, LibriSpeech and Speech Commands as one data set."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from d2v_core.config.speech_data import (
    LibriSpeechData,
    ManifestData,
    OnError,
    SpeechCommandsData,
)
from d2v_core.data.cache import content_key, files_digest
from d2v_core.data.inventory import (
    Inventory,
    listed,
    suspicious_letters,
    unknown_letters,
    visible,
)
from d2v_core.data.speech.audio_files import (
    DECODING_VERSION,
    open_audio,
    without_short,
)
from d2v_core.data.speech.manifests import has_mark, read_manifest
from d2v_core.data.speech.torchaudio_sets import list_librispeech, list_speech_commands
from d2v_core.data.speech.utterances import (
    Listing,
    SpeechDataset,
    Utterances,
    ctc_classes,
    pick,
)
from d2v_core.data.vision.folders import source_folder
from d2v_core.errors import DataError

SHOWN_FAULTS = 100
SHOWN_SKIPPED = 3
FileData = ManifestData | LibriSpeechData | SpeechCommandsData


def load_files(data: FileData, *, least_samples: int = 1) -> SpeechDataset:
    """Read all splits.

    Args:
        data: Where the files are.
        least_samples: At 16 kHz; shorter utterances count as broken.

    Raises:
        DataError: The data is not there, or broken; names every broken file at once.
    """
    listings = list_splits(data)
    rate = data.sample_rate_hz if isinstance(data, ManifestData) else None
    splits, notes = _open_splits(listings, rate, data.on_error, least_samples)
    train = splits["train"]
    pretrain = splits.get("pretrain", train)
    return SpeechDataset(
        name=_name(data),
        digest=listings_digest(listings),
        classes=ctc_classes(train.texts),
        pretrain=pretrain,
        train=train,
        valid=splits["valid"],
        test=splits["test"],
        notes=notes,
        inventory=_inventory(listings, splits),
    )


def _inventory(
    listings: dict[str, Listing], splits: dict[str, Utterances]
) -> Inventory:
    lost = sum(len(one.files) - len(splits[name]) for name, one in listings.items())
    train = splits["train"].texts
    test = {file.path for file in listings["test"].files}
    twice = len(test.intersection(file.path for file in listings["train"].files))
    return Inventory(
        unit="utterances",
        used={name: len(split) for name, split in splits.items()},
        left_out={"broken or too short": lost} if lost else {},
        suspicious=(
            *suspicious_letters(train or ()),
            *(suspicious_splits(train, splits) if train else ()),
            *([f"{twice} files of test also stand in train"] if twice else []),
        ),
    )


def suspicious_splits(
    train: tuple[str, ...], splits: dict[str, Utterances]
) -> tuple[str, ...]:
    """Name letters of other splits that training transcripts lack, in sentences."""
    sentences = []
    for name in ("valid", "test"):
        unknown, share = unknown_letters(train, splits[name].texts or ())
        if unknown:
            of = f"{share:.0%} of the letters of {name}"
            sentences.append(f"{of} do not stand in train: {listed(unknown)}")
    return tuple(sentences)


def list_splits(data: FileData) -> dict[str, Listing]:
    """List ``train``, ``valid``, ``test`` and, where it is another one, ``pretrain``.

    Raises:
        DataError: The data is not there.
    """
    if isinstance(data, LibriSpeechData):
        return list_librispeech(data)
    if isinstance(data, SpeechCommandsData):
        return list_speech_commands(data)
    folder = source_folder(data.root, data.folder)
    names = {"train": data.train, "valid": data.valid, "test": data.test}
    if data.pretrain is not None:
        names["pretrain"] = data.pretrain
    return {split: read_manifest(folder, name) for split, name in names.items()}


def _name(data: FileData) -> str:
    if isinstance(data, ManifestData):
        read = [data.pretrain] if data.pretrain else []
        return "manifests " + ", ".join([*read, data.train])
    if isinstance(data, LibriSpeechData):
        return "LibriSpeech " + "+".join(data.pretrain)
    return f"Speech Commands {data.version}"


def _files_below_root(listing: Listing) -> tuple[Path, list[Path]]:
    """Find all files of a split that are there, and their common folder."""
    paths = [*listing.sources, *(file.path for file in listing.files)]
    there = sorted({path.resolve() for path in paths if path.is_file()})
    return Path(
        os.path.commonpath([path.parent for path in there] or [Path("/")])
    ), there


def _split_digest(listing: Listing) -> str:
    root, there = _files_below_root(listing)
    return files_digest(root, there, has_mark) if there else "0" * 16


def _cache_key(listing: Listing, rate: int | None) -> str:
    content = content_key(*_files_below_root(listing), _split_digest(listing))
    return f"{content}-{len(listing.files)}-{rate or 'any'}-v{DECODING_VERSION}"


def listings_digest(listings: dict[str, Listing]) -> str:
    """Digest all files of all splits."""
    parts = [f"{split} {_split_digest(listings[split])}" for split in sorted(listings)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _open_splits(
    listings: dict[str, Listing],
    rate: int | None,
    on_error: OnError,
    least_samples: int,
) -> tuple[dict[str, Utterances], tuple[str, ...]]:
    """Open whole utterances of every split; note what was left out."""
    errors = dict.fromkeys(text for one in listings.values() for text in one.errors)
    broken: dict[str, str] = {}
    notes: dict[str, None] = {}
    splits = {}
    for split, listing in listings.items():
        key = _cache_key(listing, rate)
        opened = open_audio(listing.files, cache_key=key, sample_rate_hz=rate)
        opened = without_short(opened, listing.files, least_samples)
        broken.update(opened.broken)
        if opened.broken:
            notes[skipped_note(listing.name, len(listing.files), opened.broken)] = None
        if listing.files and not len(opened.kept):
            errors[f"{listing.name}: no file of this split can be used"] = None
        if not listing.errors:
            texts, labels = listing.texts, listing.labels
            splits[split] = Utterances(
                audio=opened.audio,
                texts=None if texts is None else pick(texts, opened.kept),
                labels={name: pick(col, opened.kept) for name, col in labels.items()},
            )
    refuse(list(errors), broken if on_error == "raise" else {})
    return splits, tuple(notes)


def skipped_note(name: str, num_files: int, broken: tuple[tuple[str, str], ...]) -> str:
    """Say how many files of a split are left out, and why the first ones are."""
    shown = "; ".join(
        visible(f"{Path(path).name} {reason}")
        for path, reason in broken[:SHOWN_SKIPPED]
    )
    more = len(broken) - SHOWN_SKIPPED
    rest = f"; and {more} more" if more > 0 else ""
    count = f"{len(broken)} of {num_files}"
    return f"{count} audio files of {name} left out: {shown}{rest}"


def refuse(errors: list[str], broken: dict[str, str]) -> None:
    """Refuse everything that is wrong with manifests, and broken files, at once.

    Args:
        errors: Sentences that say where.
        broken: Reasons by path.

    Raises:
        DataError: There is any.
    """
    lines = [*errors, *(f"{path}: {reason}" for path, reason in broken.items())]
    if not lines:
        return
    hidden = len(lines) - SHOWN_FAULTS
    more = [f"and {hidden} more"] if hidden > 0 else []
    skip = ", or set data.on_error to skip to leave audio files out" if broken else ""
    raise DataError(
        "data: every manifest, transcript and audio file must be whole; correct or "
        f"replace these{skip}:\n  " + "\n  ".join([*lines[:SHOWN_FAULTS], *more])
    )
