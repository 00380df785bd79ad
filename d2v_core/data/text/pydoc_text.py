"""The embedded default: the Python language reference inside CPython, no download.

``pydoc_data.topics``: what ``help("LOOPING")`` prints, 79 topics in Python 3.11. Topics
contain one another, so a passage belongs to the shortest topic it stands in and is
there once. Passages, not sentences, are split: no sample of one split shares text with
another. The text depends on the version of Python, and so does the digest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pydoc_data.topics import topics

import numpy as np

from d2v_core.config.text import task_name
from d2v_core.data.splits import SPLIT_SEED, hold_out
from d2v_core.data.text.tasks import Samples, Task

MIN_WORDS = 8
"""Words of a passage; shorter ones are headings and code."""
MIN_PASSAGES = 20
"""Passages of a topic that is a class; those of others are for pre-training only."""
TEST_FRACTION = 1 / 3
VALIDATION_FRACTION = 1 / 6
"""Share of what the test split leaves."""


@dataclass(frozen=True)
class PydocText:
    """Passages and what is made of them.

    Attributes:
        passages: Training passages: labelled ones, then the others.
        labels: Topic of each labelled one.
        classes: Names of these topics.
        tasks: By name, ``pydoc/topic`` and ``pydoc/same_passage``.
    """

    passages: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    tasks: dict[str, Task]


@lru_cache(maxsize=1)
def pydoc_digest() -> str:
    """Digest the topics."""
    content = "\0".join(f"{name}\0{topics[name]}" for name in sorted(topics))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def load_pydoc() -> PydocText:
    """Load the passages in three fixed splits, and the two tasks."""
    topic_of = _topic_of_each_passage()
    counts = Counter(topic_of.values())
    classes = tuple(sorted(t for t, count in counts.items() if count >= MIN_PASSAGES))
    labelled = [text for text, topic in topic_of.items() if topic in classes]
    others = [text for text, topic in topic_of.items() if topic not in classes]
    labels = np.array([classes.index(topic_of[text]) for text in labelled])
    rest, test = hold_out(labels, TEST_FRACTION)
    train, valid = (rest[part] for part in hold_out(labels[rest], VALIDATION_FRACTION))
    parts = [
        Samples(tuple(labelled[i] for i in part), None, labels[part])
        for part in (train, valid, test)
    ]
    return PydocText(
        passages=(*parts[0].first, *others),
        labels=parts[0].labels,
        classes=classes,
        tasks={
            "pydoc/topic": _task("pydoc/topic", classes, parts),
            "pydoc/same_passage": _task(
                "pydoc/same_passage",
                ("other passage", "same passage"),
                [_pairs(part) for part in parts],
            ),
        },
    )


def _task(name: str, classes: tuple[str, ...], parts: list[Samples]) -> Task:
    train, valid, test = parts
    return Task(task_name(name), classes, "accuracy", train, valid, {"": test})


def _topic_of_each_passage() -> dict[str, str]:
    topic_of: dict[str, str] = {}
    for name in sorted(topics, key=lambda name: (len(topics[name]), name)):
        for paragraph in topics[name].split("\n\n"):
            words = paragraph.split()
            if len(words) >= MIN_WORDS:
                topic_of.setdefault(" ".join(words), name)
    return topic_of


def _pairs(samples: Samples) -> Samples:
    """Pair the first half of each passage with its second, and with that of another."""
    generator = np.random.default_rng(SPLIT_SEED)
    halves = [_halves(text) for text in samples.first]
    shift = generator.integers(1, len(halves), len(halves))
    others = (np.arange(len(halves)) + shift) % len(halves)
    first = [half for half, _ in halves] * 2
    second = [halves[i][1] for i in others] + [half for _, half in halves]
    labels = np.repeat([0, 1], len(halves))
    order = generator.permutation(len(labels))
    return Samples(tuple(first), tuple(second), labels).subset(order)


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])
