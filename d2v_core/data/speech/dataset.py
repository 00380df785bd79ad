"""Speech by configuration: digest, data set, batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from d2v_core.config.memory import MemoryData
from d2v_core.config.own_data import OwnAudio
from d2v_core.config.speech_data import (
    AudioFolderData,
    SpeechData,
    SpokenDigitsData,
    WaveformConfig,
)
from d2v_core.data.cache import CacheEntry
from d2v_core.data.inventory import Inventory
from d2v_core.data.speech.alignment import Alignment, spans_digest
from d2v_core.data.speech.audio_folder import (
    audio_digest,
    find_audio,
    load_audio_folder,
)
from d2v_core.data.speech.files import list_splits, listings_digest, load_files
from d2v_core.data.speech.synthesiser.phones import NAMES
from d2v_core.data.speech.synthesiser.spoken_digits import (
    WORDS,
    Recordings,
    record,
    spoken_digits_digest,
)
from d2v_core.data.speech.utterances import (
    WORD_BOUNDARY,
    ArrayAudio,
    SpeechDataset,
    Utterances,
    Waveform,
    ctc_classes,
    pick,
)
from d2v_core.data.vision.batches import shuffled
from d2v_core.encoders.inputs import Padded
from d2v_core.errors import DataError
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.randomness import numpy_generator
from d2v_core.training.parallel import ALONE, Workers

POOL = 8
"""Batches whose utterances are sorted by length together."""
NORM_EPSILON = 1e-5
"""fairseq normalises with ``F.layer_norm`` and its default."""


def speech_digest(data: SpeechData) -> str:
    """Digest everything a trial reads: 16 hex digits; fast once computed.

    Raises:
        DataError: The data is not there.
    """
    if isinstance(data, MemoryData):
        return data.digest
    assert not isinstance(data, OwnAudio), "the modality asks the user's own function"
    if isinstance(data, SpokenDigitsData):
        return spoken_digits_digest(data)
    if isinstance(data, AudioFolderData):
        return audio_digest(find_audio(data))
    return listings_digest(list_splits(data))


def load_speech(data: SpeechData, *, least_samples: int = 1) -> SpeechDataset:
    """Read all splits.

    Args:
        data: Where the speech comes from.
        least_samples: At 16 kHz; shorter utterances count as broken.

    Raises:
        DataError: The data is not there, or broken; names every broken file at once.
    """
    if isinstance(data, MemoryData):
        raise data.gone()
    assert not isinstance(data, OwnAudio), "the modality asks the user's own function"
    if isinstance(data, SpokenDigitsData):
        return load_spoken_digits(data)
    if isinstance(data, AudioFolderData):
        return load_audio_folder(data, least_samples=least_samples)
    return load_files(data, least_samples=least_samples)


def load_spoken_digits(data: SpokenDigitsData) -> SpeechDataset:
    """Read the synthetic digits, made once per machine."""
    digest = spoken_digits_digest(data)
    sizes = {"train": data.num_train, "valid": data.num_valid, "test": data.num_test}
    splits = {
        split: _spoken(data, split, size, f"{digest}-{split}")
        for split, size in sizes.items()
    }
    return SpeechDataset(
        name="spoken digits (synthesised)",
        digest=digest,
        classes=ctc_classes(splits["train"].texts),
        pretrain=splits["train"],
        train=splits["train"],
        valid=splits["valid"],
        test=splits["test"],
        inventory=Inventory("utterances", sizes),
    )


def _spoken(data: SpokenDigitsData, split: str, size: int, key: str) -> Utterances:
    entry = CacheEntry("speech", key)
    recorded = record(data, split, size, sound=False)
    # What was heard must have been said when we believe it was.
    about = {
        "lengths": recorded.lengths.tolist(),
        "alignment": spans_digest(recorded.spans),
    }
    if entry.read() != about:
        samples = record(data, split, size).samples
        entry.write(about, {"npy": lambda file: np.save(file, samples)})
    return Utterances(
        audio=ArrayAudio(np.load(entry.file("npy"), mmap_mode="r"), recorded.lengths),
        texts=recorded.texts,
        labels=_spoken_labels(data, recorded),
        alignment=Alignment(NAMES, WORDS, recorded.spans),
    )


def _spoken_labels(
    data: SpokenDigitsData, recorded: Recordings
) -> dict[str, tuple[str, ...]]:
    labels = {"speaker": recorded.speakers, "voice": recorded.voices}
    if data.content == "single":
        labels["digit"] = recorded.texts
    return labels


@dataclass(frozen=True)
class SpeechBatches:
    """Shuffled passes over utterances, one after the other, without gaps.

    Utterances of :data:`POOL` batches are sorted by length together, so that those of a
    batch are about equally long, and the batches shuffled (fairseq batches by size).
    Everything is a function of the seed and the update.

    Attributes:
        dataset: What is read.
        batch_size: Utterances per update.
        seed: Seed of order and crops.
        waveform: Limits of pre-training, and normalisation.
        cropped: Pre-training: utterances of ``dataset.pretrain`` cropped at random to
            the shortest of the batch, as fairseq does, without labels. Otherwise whole
            utterances of ``dataset.train``, padded to the longest, with transcripts.
        workers: Those that read the other utterances of a batch.
    """

    dataset: SpeechDataset
    batch_size: int
    seed: int
    waveform: WaveformConfig
    cropped: bool = True
    workers: Workers = ALONE

    def __call__(self, step: int) -> tuple[Padded, Padded]:
        """Read waveforms and their transcripts' characters for update ``step``."""
        split = self.dataset.pretrain if self.cropped else self.dataset.train
        indices = self.indices(step)
        mine = indices[self.workers.rows(len(indices))]
        waves = [prepared(split.audio.read(int(i)), self.waveform) for i in mine]
        if not self.cropped:
            assert split.texts is not None, "data without labels is refused before"
            return pad_waves(waves), encode(pick(split.texts, mine), self.dataset)
        longest = round(self.waveform.max_seconds * SAMPLE_RATE_HZ)
        lengths = split.audio.lengths[indices]
        size = min(longest, int(lengths.min()))
        starts = crop_starts(lengths, size, numpy_generator(self.seed, "crop", step))
        places = starts[self.workers.rows(len(starts))]
        crops = [w[at : at + size] for w, at in zip(waves, places, strict=True)]
        empty = torch.zeros(len(crops), 0, dtype=torch.int64)
        return pad_waves(crops), Padded(empty, (0,) * len(crops))

    def indices(self, step: int) -> np.ndarray:
        """Positions in the split that update ``step`` (from 1) reads."""
        pool, place = divmod(step - 1, POOL)
        indices: np.ndarray = self._pool(pool)[place]
        return indices

    def _pool(self, pool: int) -> np.ndarray:
        if self.cropped:
            usable, lengths = long_enough(self.dataset.pretrain, self.waveform)
        else:
            lengths = self.dataset.train.audio.lengths
            usable = np.arange(len(lengths))
        size = POOL * self.batch_size
        wanted = np.arange(pool * size, (pool + 1) * size)
        epochs = wanted // len(usable)
        drawn = np.concatenate(
            [
                usable[shuffled(self.seed, int(epoch), len(usable))][
                    wanted[epochs == epoch] % len(usable)
                ]
                for epoch in np.unique(epochs)
            ]
        )
        drawn = drawn[np.argsort(lengths[drawn], kind="stable")]
        batches = drawn.reshape(POOL, self.batch_size)
        order = numpy_generator(self.seed, "batch order", pool).permutation(POOL)
        pool_of_batches: np.ndarray = batches[order]
        return pool_of_batches


def long_enough(
    split: Utterances, waveform: WaveformConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Find the utterances pre-training reads, and the lengths of all.

    Those shorter than ``min_seconds`` are left out unless that leaves none.
    """
    lengths = split.audio.lengths
    usable = np.flatnonzero(lengths >= waveform.min_seconds * SAMPLE_RATE_HZ)
    return (usable if len(usable) else np.arange(len(lengths))), lengths


def check_shortest(
    dataset: SpeechDataset, waveform: WaveformConfig, least_samples: int
) -> None:
    """Refuse pre-training on utterances that are too short, before the first update.

    Raises:
        DataError: One that would be read has fewer than ``least_samples``.
    """
    usable, lengths = long_enough(dataset.pretrain, waveform)
    short = lengths[usable] < least_samples
    if short.any():
        seconds = least_samples / SAMPLE_RATE_HZ
        raise DataError(
            f"waveform.min_seconds: utterances must have {least_samples} samples "
            f"({seconds:g} s) to be masked, {short.sum()} of {len(usable)} that "
            f"pre-training reads are shorter; set it to {seconds:g} or more, or leave "
            "them out of the data"
        )


def prepared(wave: Waveform, waveform: WaveformConfig) -> Waveform:
    """Normalise a whole utterance as the encoder reads it."""
    if not waveform.normalise:
        return wave
    centred = wave - wave.mean()
    scaled: Waveform = centred / np.sqrt(np.square(centred).mean() + NORM_EPSILON)
    return scaled


def crop_starts(
    lengths: np.ndarray, size: int, generator: np.random.Generator
) -> list[int]:
    """Draw where ``size`` samples of each utterance begin: anywhere they fit."""
    return [int(generator.integers(length - size + 1)) for length in lengths]


def pad_waves(waves: list[Waveform]) -> Padded:
    """Pad waveforms with zeros up to the longest."""
    lengths = tuple(len(wave) for wave in waves)
    values = torch.zeros(len(waves), max(lengths))
    for row, wave in zip(values, waves, strict=True):
        row[: len(wave)] = torch.from_numpy(wave)
    return Padded(values, lengths)


def encode(texts: tuple[str, ...], dataset: SpeechDataset) -> Padded:
    """Map characters to class indices, padded with the blank; unknown ones left out."""
    index = class_index(dataset.classes)
    rows = [
        [index[c] for c in text.replace(" ", WORD_BOUNDARY) if c in index]
        for text in texts
    ]
    values = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for row, characters in zip(values, rows, strict=True):
        row[: len(characters)] = torch.tensor(characters, dtype=torch.int64)
    return Padded(values, tuple(len(row) for row in rows))


@lru_cache(maxsize=8)
def class_index(classes: tuple[str, ...]) -> dict[str, int]:
    """Map each class to its position."""
    return {name: i for i, name in enumerate(classes)}
