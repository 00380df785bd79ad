"""Utterances in memory or on disk behind one reading interface, and their splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from d2v_core.data.inventory import Inventory
from d2v_core.data.speech.alignment import Alignment

BLANK = "<blank>"
WORD_BOUNDARY = "|"
"""Between two words, as in fairseq's letter files."""

Waveform = Float32[np.ndarray, "_"]


@runtime_checkable
class AudioReader(Protocol):
    """Random access to mono waveforms at 16 kHz.

    Attributes:
        lengths: int64 samples of each.
    """

    lengths: np.ndarray

    def __len__(self) -> int:
        """Number of waveforms."""
        ...

    def read(self, index: int) -> Waveform:
        """Read one waveform with values in [-1, 1]."""
        ...


class ArrayAudio:
    """Decoded waveforms one after the other, in memory or memory-mapped.

    Args:
        samples: float32, or int16 to be divided by 32768.
        lengths: Samples of each waveform.
    """

    def __init__(self, samples: np.ndarray, lengths: np.ndarray) -> None:
        self.samples, self.lengths = samples, lengths
        self._ends = np.cumsum(lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, index: int) -> Waveform:
        """Copy one waveform."""
        end = int(self._ends[index])
        part = self.samples[end - int(self.lengths[index]) : end]
        wave = part.astype(np.float32)
        if self.samples.dtype == np.int16:
            wave /= 32_768.0
        return wave


class SubsetAudio:
    """View of some of the waveforms of a reader."""

    def __init__(self, audio: AudioReader, indices: np.ndarray) -> None:
        self.audio, self.indices = audio, indices
        self.lengths = audio.lengths[indices]

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> Waveform:
        """Read the waveform at a position of the subset."""
        return self.audio.read(int(self.indices[index]))


@dataclass(frozen=True)
class Utterances:
    """Utterances of one split.

    Attributes:
        audio: The waveforms.
        texts: Transcripts, words between single spaces; None: there are none.
        labels: Label of each utterance, by kind (``speaker``, ``digit`` ...).
        alignment: When each phone and word is said; None: that is not known.
    """

    audio: AudioReader
    texts: tuple[str, ...] | None
    labels: Mapping[str, tuple[str, ...]]
    alignment: Alignment | None = None

    def __len__(self) -> int:
        return len(self.audio)

    def subset(self, indices: np.ndarray) -> Utterances:
        """View some of the utterances."""
        return Utterances(
            audio=SubsetAudio(self.audio, indices),
            texts=None if self.texts is None else pick(self.texts, indices),
            labels={
                name: pick(column, indices) for name, column in self.labels.items()
            },
            alignment=self.alignment and self.alignment.subset(indices),
        )


def pick(values: Sequence[str], indices: np.ndarray) -> tuple[str, ...]:
    """Pick the values at some positions."""
    return tuple(values[i] for i in indices)


@dataclass(frozen=True)
class SpeechDataset:
    """Data set of speech: what pre-training reads, and three labelled splits.

    Attributes:
        name: For people.
        digest: Digest of the underlying files or recipe, 16 hex digits.
        classes: What CTC tells apart: blank, word boundary and the characters of the
            training transcripts; empty: there are none.
        pretrain: Read without labels; may be the same as ``train``.
        train: Fits.
        valid: Selects.
        test: Is reported.
        notes: What a reader of results needs to know, like files left out.
        inventory: What was found and what is used of it.
        labelled: Whether there is anything to evaluate by but RankMe; if not, ``valid``
            is held out of pre-training and ``test`` is empty.
        probed: Labelled speech the encoder is evaluated on instead; None: this.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    pretrain: Utterances
    train: Utterances
    valid: Utterances
    test: Utterances
    notes: tuple[str, ...] = ()
    inventory: Inventory = Inventory("utterances", {})
    labelled: bool = True
    probed: SpeechDataset | None = None


def ctc_classes(texts: Sequence[str] | None) -> tuple[str, ...]:
    """List blank, word boundary and every character of the transcripts, sorted."""
    if texts is None:
        return ()
    characters = sorted(set().union(*map(set, texts)) - {" ", WORD_BOUNDARY})
    return (BLANK, WORD_BOUNDARY, *characters)


@dataclass(frozen=True)
class AudioFile:
    """A file that is to hold one utterance.

    Attributes:
        path: Where it is.
        num_samples: How many samples it must have at its own rate; None: any number.
        start: First sample that is read, at its own rate.
        stop: The one behind the last; None: all are read.
    """

    path: Path
    num_samples: int | None = None
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Listing:
    """The files of one split.

    Attributes:
        name: For people.
        files: The audio.
        texts: Transcripts of the files, or None.
        labels: By kind.
        sources: Other files that were read: manifests and transcripts.
        errors: What is wrong with those.
    """

    name: str
    files: tuple[AudioFile, ...]
    texts: tuple[str, ...] | None
    labels: Mapping[str, tuple[str, ...]]
    sources: tuple[Path, ...] = ()
    errors: tuple[str, ...] = ()
