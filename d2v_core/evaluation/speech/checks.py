"""Whether data can serve the protocol it is asked for, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

from d2v_core.config.speech_data import SpeechEvaluation
from d2v_core.data.inventory import listed, unknown_letters
from d2v_core.data.speech.utterances import SpeechDataset, Utterances
from d2v_core.errors import ConfigError, DataError, Problem, shown
from d2v_core.evaluation.labels import check_num_labels

MAX_UNKNOWN_LETTERS = 0.5
"""Share of a split's letters that may be missing in train; fewer are a note."""

Splits = Mapping[str, Utterances]


def check_labels(dataset: SpeechDataset, config: SpeechEvaluation) -> None:
    """Refuse a protocol that the data cannot serve.

    Raises:
        ConfigError: There are no transcripts, no such kind of label, no alignment, or
            fewer utterances than are to be drawn.
        DataError: A split has labels, or most of its letters, that train has not.
    """
    splits = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}
    if problems := [
        *_check_transcripts(splits, config),
        *_check_kind(splits, config),
        *_check_alignment(splits, config),
    ]:
        raise ConfigError(problems)
    check_num_labels(config, {"train": len(dataset.train)})
    if config.method != "none":
        _check_letters(splits)
    if config.utterance_label is not None:
        _check_classes(splits, config.utterance_label)


def _kinds(splits: Splits) -> list[str]:
    return sorted(set.intersection(*(set(split.labels) for split in splits.values())))


def _check_transcripts(splits: Splits, config: SpeechEvaluation) -> list[Problem]:
    silent = [name for name, split in splits.items() if split.texts is None]
    if not silent or config.method == "none":
        return []
    kinds = ", ".join(_kinds(splits)) or "-"
    message = (
        f"{config.method} needs transcripts, {', '.join(silent)} has none; set it to "
        f"none and name an evaluation.utterance_label: {kinds}"
    )
    return [Problem("evaluation.method", message)]


def _check_kind(splits: Splits, config: SpeechEvaluation) -> list[Problem]:
    label, kinds = config.utterance_label, _kinds(splits)
    if label is None or label in kinds:
        return []
    allowed = ", ".join(kinds) or "none in this data"
    message = f"must be one of {allowed}, got {shown(label)}"
    return [Problem("evaluation.utterance_label", message)]


def _check_alignment(splits: Splits, config: SpeechEvaluation) -> list[Problem]:
    unknown = [name for name, split in splits.items() if split.alignment is None]
    if not unknown or config.frame_labels != "required":
        return []
    message = (
        "must be where_known or none unless the data knows when each phone is said, as "
        f"spoken_digits does; {', '.join(unknown)} does not, got required"
    )
    return [Problem("evaluation.frame_labels", message)]


def _check_classes(splits: Splits, kind: str) -> None:
    known = set(splits["train"].labels[kind])
    if len(known) < 2:
        raise DataError(
            f"data: train must have at least 2 different labels of kind {kind}, "
            f"has only {listed(known)}"
        )
    for name in ("valid", "test"):
        if unknown := set(splits[name].labels[kind]) - known:
            raise DataError(
                f"data: every {kind} of {name} must also stand in train, "
                f"unknown: {', '.join(sorted(unknown)[:10])}"
            )


def _check_letters(splits: Splits) -> None:
    """Refuse transcripts most of which nothing trained on the others can write."""
    train = splits["train"].texts or ()
    if not any(train):
        raise DataError(
            "data: the transcripts of train must hold letters, all are empty"
        )
    for name in ("valid", "test"):
        texts = splits[name].texts or ()
        unknown, share = unknown_letters(train, texts)
        if share <= MAX_UNKNOWN_LETTERS:
            continue
        swapped = unknown_letters(train, [text.swapcase() for text in texts])[1]
        case = "; they stand there in the other case" if swapped < share else ""
        raise DataError(
            f"data: the letters of every split must stand in train, {share:.0%} of "
            f"those of {name} do not{case}: {listed(unknown)}; write the transcripts "
            "of all splits alike"
        )
