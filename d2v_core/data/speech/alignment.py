"""What is said when: the phone and the word of every moment of an utterance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2v_core.config.choices import FrameLabel
from d2v_core.frames import Window, frame_centres

NO_WORD = -1
"""Word of a span between words."""


@dataclass(frozen=True)
class Spans:
    """Stretches of one utterance, one after the other without gaps.

    Attributes:
        ends: Sample after the last of each; the first begins at 0, the last ends with
            the utterance.
        phones: Index of each one's phone.
        words: Index of each one's word; :data:`NO_WORD` between words.
    """

    ends: np.ndarray
    phones: np.ndarray
    words: np.ndarray

    def of_kind(self, kind: FrameLabel) -> np.ndarray:
        """Choose the labels of one kind."""
        return self.phones if kind == "phone" else self.words


@dataclass(frozen=True)
class Alignment:
    """The spans of all utterances of a split.

    Attributes:
        phones: Their names; silence is one of them.
        words: Their names.
        spans: Spans of each utterance.
    """

    phones: tuple[str, ...]
    words: tuple[str, ...]
    spans: tuple[Spans, ...]

    def names(self, kind: FrameLabel) -> tuple[str, ...]:
        """Name the labels of one kind."""
        return self.phones if kind == "phone" else self.words

    def subset(self, indices: np.ndarray) -> Alignment:
        """Pick the spans of some utterances."""
        spans = tuple(self.spans[i] for i in indices)
        return Alignment(self.phones, self.words, spans)


def frame_labels(
    spans: Spans, kind: FrameLabel, num_frames: int, windows: Sequence[Window]
) -> np.ndarray:
    """Label each frame of an encoder with what is said at its centre.

    Frames between words are :data:`NO_WORD` as words: they tell loudness, not words.

    Args:
        spans: Spans of the utterance.
        kind: Phones or words.
        num_frames: Frames the encoder makes of it.
        windows: Windows of the front end's layers, the lowest first.
    """
    centres = np.array(frame_centres(num_frames, windows), np.int64)
    at = np.searchsorted(spans.ends, centres, side="right")
    labels: np.ndarray = spans.of_kind(kind)[at]
    return labels


def spans_digest(spans: Sequence[Spans]) -> str:
    """Digest the spans of a split: 16 hex digits."""
    digest = hashlib.sha256()
    for one in spans:
        for part in (one.ends, one.phones, one.words):
            digest.update(np.ascontiguousarray(part, "<i8").tobytes() + b"/")
    return digest.hexdigest()[:16]
