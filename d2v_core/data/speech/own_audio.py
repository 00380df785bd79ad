"""Waveforms that the user's own function gives, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from d2v_core.config.own_data import OwnAudio
from d2v_core.config.trial import TrialConfig
from d2v_core.data.inventory import Inventory
from d2v_core.data.speech.utterances import (
    ArrayAudio,
    SpeechDataset,
    Utterances,
    ctc_classes,
)
from d2v_core.errors import DataError
from d2v_core.own.kinds import AUDIO
from d2v_core.own.loading import given_once, own, tried

SPLITS = ("train", "valid", "test")
LABEL = "label"
"""Kind of the labels, for ``evaluation.utterance_label``."""
PARTS = {"waves", "texts", "labels"}


def load_own_audio(trial: TrialConfig, data: OwnAudio) -> SpeechDataset:
    """The three splits; the digest is of everything the function gives.

    Raises:
        ConfigError: The function cannot be called, or gives something else.
    """

    def load() -> SpeechDataset:
        path, given = "data.function", data.function
        function = own(trial, path, AUDIO, given, data.settings)
        splits = tried(path, AUDIO, given, lambda: _splits(function(data.root)))
        return _dataset(given.partition("@")[0], splits)

    return given_once(AUDIO, data.model_dump_json(), load)


def check_lengths(dataset: SpeechDataset, least_samples: int) -> None:
    """Refuse waveforms that are too short for an encoder's first frame.

    Raises:
        DataError: One is.
    """
    splits = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}
    for name, split in splits.items():
        if (shortest := int(split.audio.lengths.min())) < least_samples:
            raise DataError(
                f"data.function: waves must have {least_samples} samples, the shortest "
                f"of {name} has {shortest}; leave it out"
            )


def _splits(given: Any) -> dict[str, Utterances]:
    """Each split as utterances.

    Raises:
        ValueError: A split is missing, or is not what it must be.
    """
    if not isinstance(given, Mapping) or set(given) != set(SPLITS):
        names = sorted(map(str, given)) if isinstance(given, Mapping) else type(given)
        raise ValueError(f"the splits must be train, valid and test, got {names}")
    splits = {name: _utterances(name, given[name]) for name in SPLITS}
    for part in ("texts", "labels"):
        if len({bool(getattr(split, part)) for split in splits.values()}) > 1:
            raise ValueError(f"all splits must have {part}, or none")
    return splits


def _utterances(name: str, given: Any) -> Utterances:
    if not isinstance(given, Mapping) or "waves" not in given or set(given) - PARTS:
        raise ValueError(f"{name} must be a mapping with waves, perhaps texts, labels")
    waves = [np.asarray(wave) for wave in given["waves"]]
    for i, wave in enumerate(waves):
        if wave.ndim != 1 or not len(wave) or wave.dtype.kind != "f":
            actual = f"{wave.dtype} of shape {wave.shape}"
            wanted = "floats of one dimension at 16 kHz"
            raise ValueError(f"{name}: wave {i} must be {wanted}, got {actual}")
        if not np.isfinite(wave).all():
            raise ValueError(f"{name}: wave {i} must be finite")
    if not waves:
        raise ValueError(f"{name} must have waves, has none")
    texts = _names(name, "texts", given.get("texts"), len(waves))
    labels = _names(name, "labels", given.get("labels"), len(waves))
    lengths = np.array([len(wave) for wave in waves], np.int64)
    samples = np.concatenate(waves).astype(np.float32)
    of_kind = {} if labels is None else {LABEL: labels}
    return Utterances(ArrayAudio(samples, lengths), texts, of_kind)


def _names(
    name: str, part: str, given: Sequence[Any] | None, count: int
) -> tuple[str, ...] | None:
    if given is None:
        return None
    if len(given) != count:
        raise ValueError(f"{name} must have as many {part} as waves, {count}")
    return tuple(map(str, given))


def _dataset(name: str, splits: Mapping[str, Utterances]) -> SpeechDataset:
    hashed = hashlib.sha256()
    for split in splits.values():
        audio = split.audio
        assert isinstance(audio, ArrayAudio)
        hashed.update(audio.lengths.tobytes() + audio.samples.tobytes())
        hashed.update(repr((split.texts, sorted(split.labels.items()))).encode())
    train = splits["train"]
    return SpeechDataset(
        name=name,
        digest=hashed.hexdigest()[:16],
        classes=ctc_classes(train.texts),
        pretrain=train,
        train=train,
        valid=splits["valid"],
        test=splits["test"],
        inventory=Inventory("utterances", {k: len(s) for k, s in splits.items()}),
        labelled=train.texts is not None or bool(train.labels),
    )
