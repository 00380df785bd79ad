"""From frames to characters: the best path, and prefix beam search.

Both work on many utterances at once and use no language model, as the paper's ablations
(section 5.4). A labelling is likely when all its alignments together are; the best path
takes the single best alignment, prefix beam search (Hannun et al. 2014, arXiv
1408.2873, algorithm 1 without its language model) adds alignments up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

BLANK_CLASS = 0
NOTHING = -1
"""Fills a prefix after its end."""
DEAD = -2
"""Fills prefixes that do not exist, so that they equal no other."""

LogProbs = Float[np.ndarray, "_ classes"]


def best_path(log_probs: LogProbs) -> list[int]:
    """The best class of each frame, repetitions merged, then blanks dropped."""
    path = log_probs.argmax(axis=1)
    starts = np.ones(len(path), dtype=bool)
    starts[1:] = path[1:] != path[:-1]
    kept: list[int] = path[starts & (path != BLANK_CLASS)].tolist()
    return kept


@dataclass(frozen=True)
class Labelling:
    """What the beam search found.

    Attributes:
        classes: The characters.
        log_probability: Log-probability of its alignments that the beam kept: at most
            that of the labelling, and equal to it where the beam is wide enough.
    """

    classes: list[int]
    log_probability: float


def prefix_beam_search(utterances: Sequence[LogProbs], width: int) -> list[Labelling]:
    """The likeliest labelling of each utterance among the prefixes kept.

    Args:
        utterances: Log-probabilities of each utterance's frames.
        width: Prefixes kept after each frame.
    """
    lengths = np.array([len(frames) for frames in utterances])
    order = np.argsort(-lengths, kind="stable")
    longest, num_classes = lengths.max(), utterances[0].shape[1]
    frames = np.zeros((len(order), longest, num_classes))
    for row, i in enumerate(order):
        frames[row, : lengths[i]] = utterances[i]
    beam = _Beam(len(order), width, int(longest))
    for t in range(longest):
        active = int((lengths > t).sum())  # the longest come first
        beam.advance(frames[:active, t])
    labellings = beam.best()
    return [labellings[row] for row in np.argsort(order, kind="stable")]


class _Beam:
    """Prefixes of each utterance with their probabilities.

    ``in_blank`` and ``in_label`` are the log-probabilities of the alignments so far
    that end in a blank and in the prefix's last character.
    """

    def __init__(self, num_utterances: int, width: int, longest: int) -> None:
        shape = (num_utterances, width)
        self.prefixes = np.full((*shape, longest + 1), DEAD, np.int16)
        self.prefixes[:, 0] = NOTHING
        self.sizes = np.zeros(shape, np.int64)
        self.in_blank = np.full(shape, -np.inf)
        self.in_blank[:, 0] = 0.0
        self.in_label = np.full(shape, -np.inf)

    def advance(self, frame: Float[np.ndarray, "active classes"]) -> None:
        """Take in one frame of the first utterances."""
        n, width = len(frame), self.sizes.shape[1]
        room = int(self.sizes[:n].max()) + 1
        prefixes, sizes = self.prefixes[:n, :, :room], self.sizes[:n]
        in_blank, in_label = self.in_blank[:n], self.in_label[:n]
        last = _last(prefixes, sizes)
        either = np.logaddexp(in_blank, in_label)
        rows = np.arange(n)[:, None]
        repeated = frame[rows, np.maximum(last, 0)]
        stay_label = np.where(sizes > 0, in_label + repeated, -np.inf)
        stay_blank = either + frame[:, [BLANK_CLASS]]
        grown = either[:, :, None] + frame[:, None]
        columns = np.arange(width)[None]
        # Only after a blank is a repeated character a new one.
        grown[rows, columns, np.maximum(last, 0)] = np.where(
            sizes > 0, in_blank + repeated, -np.inf
        )
        grown[:, :, BLANK_CLASS] = -np.inf
        parent = _parents(prefixes, sizes)
        has_parent = parent >= 0
        origin = (rows, np.maximum(parent, 0), np.maximum(last, 0))
        joining = np.where(has_parent, grown[origin], -np.inf)
        stay_label = np.logaddexp(stay_label, joining)
        owner, child = np.nonzero(has_parent)
        grown[owner, parent[owner, child], last[owner, child]] = -np.inf
        self._keep(n, stay_blank, stay_label, grown)

    def _keep(
        self, n: int, stay_blank: np.ndarray, stay_label: np.ndarray, grown: np.ndarray
    ) -> None:
        """The likeliest of the prefixes that stayed and of those that grew."""
        width, num_classes = grown.shape[1:]
        stayed = np.logaddexp(stay_blank, stay_label)
        scores = np.concatenate([stayed, grown.reshape(n, -1)], axis=1)
        chosen = np.argsort(-scores, axis=1, kind="stable")[:, :width]
        rows = np.arange(n)[:, None]
        new = chosen >= width
        source = np.where(new, (chosen - width) // num_classes, chosen)
        added = (chosen - width) % num_classes
        prefixes, sizes = self.prefixes[rows, source], self.sizes[rows, source]
        owner, slot = np.nonzero(new)
        prefixes[owner, slot, sizes[owner, slot]] = added[owner, slot]
        best = scores[rows, chosen]
        dead = np.isneginf(best)
        prefixes[dead] = DEAD
        self.prefixes[:n] = prefixes
        self.sizes[:n] = np.where(dead, 0, sizes + new)
        self.in_blank[:n] = np.where(new, -np.inf, stay_blank[rows, source])
        self.in_label[:n] = np.where(new, best, stay_label[rows, source])

    def best(self) -> list[Labelling]:
        """The likeliest prefix of each utterance."""
        scores = np.logaddexp(self.in_blank, self.in_label)
        top = scores.argmax(axis=1)
        return [
            Labelling(
                classes=self.prefixes[row, i, : self.sizes[row, i]].tolist(),
                log_probability=float(scores[row, i]),
            )
            for row, i in enumerate(top)
        ]


def _last(
    prefixes: Int[np.ndarray, "utterances width room"],
    sizes: Int[np.ndarray, "utterances width"],
) -> Int[np.ndarray, "utterances width"]:
    """Last character of each prefix; of an empty one, something below 0."""
    ends = np.maximum(sizes - 1, 0)[:, :, None]
    last: np.ndarray = np.take_along_axis(prefixes, ends, axis=2)[:, :, 0]
    return last.astype(np.int64)


def _parents(
    prefixes: Int[np.ndarray, "utterances width room"],
    sizes: Int[np.ndarray, "utterances width"],
) -> Int[np.ndarray, "utterances width"]:
    """Which prefix each one is, less its last character; -1: none of the beam."""
    shorter = prefixes.copy()
    ends = np.maximum(sizes - 1, 0)[:, :, None]
    np.put_along_axis(shorter, ends, NOTHING, axis=2)
    equal = (shorter[:, :, None] == prefixes[:, None]).all(axis=3)
    equal &= (sizes > 0)[:, :, None]
    return np.where(equal.any(axis=2), equal.argmax(axis=2), -1)
