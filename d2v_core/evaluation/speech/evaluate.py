"""Speech: words recognised by CTC, and whole utterances classified.

Recognition is the paper's evaluation (section 5.1: fine-tuning on labelled speech, word
error rate), or its frozen sibling: a linear CTC layer. No language model is used, as in
the paper's ablations (section 5.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from d2v_core.config.speech_data import SpeechEvaluation, WaveformConfig
from d2v_core.data.inventory import listed, unknown_letters
from d2v_core.data.speech.dataset import encode, long_enough
from d2v_core.data.speech.utterances import WORD_BOUNDARY, SpeechDataset, Utterances
from d2v_core.encoders.encoder import Encoder
from d2v_core.errors import ConfigError, DataError, Problem
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.probe import Features
from d2v_core.evaluation.protocol import evaluate_features
from d2v_core.evaluation.speech.ctc import ctc_criterion
from d2v_core.evaluation.speech.ctc_decoding import best_path, prefix_beam_search
from d2v_core.evaluation.speech.ctc_fine_tuning import fine_tune_ctc
from d2v_core.evaluation.speech.ctc_probe import fit_ctc_probes
from d2v_core.evaluation.speech.frames import encode_frames
from d2v_core.evaluation.speech.word_errors import character_error_rate, word_error_rate
from d2v_core.randomness import numpy_generator

__all__ = ["check_labels", "ctc_criterion", "evaluate_speech"]

DECODED_TOGETHER = 64
MAX_UNKNOWN_LETTERS = 0.5
"""Share of a split's letters that may be missing in train; fewer are a note."""


def evaluate_speech(
    encoder: Encoder,
    dataset: SpeechDataset,
    config: SpeechEvaluation,
    *,
    seed: int,
    waveform: WaveformConfig | None = None,
) -> Evaluation:
    """Every number the configuration asks for.

    ``eval/word_error_rate`` and ``eval/character_error_rate`` are the test split's by
    prefix beam search, ``eval/word_error_rate_greedy`` by the best path,
    ``eval/word_validation_error_rate`` is what selected; all in per cent, pooled over
    the split. ``eval/linear_accuracy`` and ``eval/knn_accuracy`` classify utterances.

    Args:
        encoder: Waveforms to frames, not changed.
        dataset: Its training split, or a labelled subset, fits.
        config: The protocol.
        seed: Of the labelled subset, and of what is trained.
        waveform: How utterances are prepared; None: the default.

    Raises:
        ConfigError: The data lacks what the protocol needs.
        DataError: A split has labels that the training split has not.
    """
    waveform = waveform or WaveformConfig()
    check_labels(dataset, config)
    result = Evaluation({}, {}, _pretraining_notes(dataset, waveform))
    if config.method != "none":
        part = _recognise(encoder, dataset, config, waveform, seed)
        result = result.joined(part)
    if config.utterance_label is not None:
        part = _classify(encoder, dataset, config, waveform, seed)
        result = result.joined(part)
    return result


def check_labels(dataset: SpeechDataset, config: SpeechEvaluation) -> None:
    """Refuse a protocol that the data cannot serve, before anything is trained.

    Raises:
        ConfigError: There are no transcripts, or no such kind of label.
        DataError: A split has labels, or most of its letters, that train has not.
    """
    splits = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}
    kinds = sorted(set.intersection(*(set(split.labels) for split in splits.values())))
    problems = []
    silent = [name for name, split in splits.items() if split.texts is None]
    if silent and config.method != "none":
        message = (
            f"{config.method} needs transcripts, {', '.join(silent)} has none; set "
        )
        message += "it to none and name an evaluation.utterance_label: "
        problems.append(
            Problem("evaluation.method", message + (", ".join(kinds) or "-"))
        )
    label = config.utterance_label
    if label is not None and label not in kinds:
        message = (
            f"must be one of {', '.join(kinds) or 'none in this data'}, got {label}"
        )
        problems.append(Problem("evaluation.utterance_label", message))
    if problems:
        raise ConfigError(problems)
    if config.method != "none":
        _check_letters(splits)
    if label is not None:
        if len(kinds_in_train := set(dataset.train.labels[label])) < 2:
            raise DataError(
                f"data: train must have at least 2 different labels of kind {label}, "
                f"has only {listed(kinds_in_train)}"
            )
        for name in ("valid", "test"):
            unknown = set(splits[name].labels[label]) - set(dataset.train.labels[label])
            if unknown:
                raise DataError(
                    f"data: every {label} of {name} must also stand in train, "
                    f"unknown: {', '.join(sorted(unknown)[:10])}"
                )


def _check_letters(splits: dict[str, Utterances]) -> None:
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


def _pretraining_notes(
    dataset: SpeechDataset, waveform: WaveformConfig
) -> tuple[str, ...]:
    usable, lengths = long_enough(dataset.pretrain, waveform)
    if short := len(lengths) - len(usable):
        limit = f"waveform.min_seconds ({waveform.min_seconds:g})"
        return (f"pre-training left out {short} of {len(lengths)} below {limit}",)
    return ()


@dataclass(frozen=True)
class Recogniser:
    """Something trained that gives log-probabilities of a split, and its rate."""

    learning_rate: float
    valid: list[np.ndarray]
    test: list[np.ndarray]


def _recognise(
    encoder: Encoder,
    dataset: SpeechDataset,
    config: SpeechEvaluation,
    waveform: WaveformConfig,
    seed: int,
) -> Evaluation:
    labelled = replace(dataset, train=_drawn(dataset.train, config.num_labels, seed))
    section = config.ctc_probe if config.method == "probe" else config.fine_tuning
    train = _probe if config.method == "probe" else _fine_tune
    best = train(encoder, labelled, config, waveform, seed)
    beam = _beam(best.test, config.beam_width, dataset.classes)
    greedy = [spell(best_path(frames), dataset.classes) for frames in best.test]
    valid = _beam(best.valid, config.beam_width, dataset.classes)
    said, said_valid = dataset.test.texts or (), dataset.valid.texts or ()
    rates, rate = sorted(section.learning_rates), best.learning_rate
    where = "ctc_probe" if config.method == "probe" else "fine_tuning"
    on_edge = len(rates) > 1 and rate in (rates[0], rates[-1])
    note = f"the learning rate {rate:g} of evaluation.{where} lies on the edge"
    return Evaluation(
        metrics={
            "eval/word_error_rate": word_error_rate(said, beam),
            "eval/word_error_rate_greedy": word_error_rate(said, greedy),
            "eval/character_error_rate": character_error_rate(said, beam),
            "eval/word_validation_error_rate": word_error_rate(said_valid, valid),
        },
        choices={f"evaluation.{where}.learning_rate": rate},
        notes=(f"{note} of its grid",) if on_edge else (),
    )


def _drawn(split: Utterances, num_labels: int | None, seed: int) -> Utterances:
    if num_labels is None or num_labels >= len(split):
        return split
    generator = numpy_generator(seed, "labels")
    chosen = generator.choice(len(split), num_labels, replace=False)
    return split.subset(np.sort(chosen))


def _probe(
    encoder: Encoder,
    dataset: SpeechDataset,
    config: SpeechEvaluation,
    waveform: WaveformConfig,
    seed: int,
) -> Recogniser:
    train, valid, test = (
        encode_frames(encoder, split, waveform)
        for split in (dataset.train, dataset.valid, dataset.test)
    )
    probes = fit_ctc_probes(
        train,
        encode(dataset.train.texts or (), dataset),
        config.ctc_probe,
        num_classes=len(dataset.classes),
        seed=seed,
    )
    candidates = [[probe.log_probs(frames) for frames in valid] for probe in probes]
    scores = [_score(one, dataset, config.beam_width) for one in candidates]
    best = int(np.argmax(scores))
    return Recogniser(
        learning_rate=probes[best].learning_rate,
        valid=candidates[best],
        test=[probes[best].log_probs(frames) for frames in test],
    )


def _fine_tune(
    encoder: Encoder,
    dataset: SpeechDataset,
    config: SpeechEvaluation,
    waveform: WaveformConfig,
    seed: int,
) -> Recogniser:
    def log_probs(
        network: Encoder, head: nn.Module, split: Utterances
    ) -> list[np.ndarray]:
        logits = encode_frames(network, split, waveform, head)
        return [one.double().log_softmax(dim=1).cpu().numpy() for one in logits]

    def score(network: Encoder, head: nn.Module) -> float:
        outputs = log_probs(network, head, dataset.valid)
        return _score(outputs, dataset, config.beam_width)

    best = fine_tune_ctc(
        encoder, dataset, config.fine_tuning, waveform, score, seed=seed
    )
    return Recogniser(
        learning_rate=best.learning_rate,
        valid=log_probs(best.encoder, best.head, dataset.valid),
        test=log_probs(best.encoder, best.head, dataset.test),
    )


def _score(log_probs: list[np.ndarray], dataset: SpeechDataset, width: int) -> float:
    """Rank on the validation split: fewer wrong words, then fewer characters."""
    heard = _beam(log_probs, width, dataset.classes)
    said = dataset.valid.texts or ()
    words = word_error_rate(said, heard)
    return -words - 1e-6 * character_error_rate(said, heard)


def _beam(
    log_probs: Sequence[np.ndarray], width: int, classes: tuple[str, ...]
) -> list[str]:
    order = np.argsort([len(frames) for frames in log_probs], kind="stable")
    heard = [""] * len(log_probs)
    for start in range(0, len(order), DECODED_TOGETHER):
        chunk = order[start : start + DECODED_TOGETHER]
        labellings = prefix_beam_search([log_probs[i] for i in chunk], width)
        for i, labelling in zip(chunk, labellings, strict=True):
            heard[i] = spell(labelling.classes, classes)
    return heard


def spell(labelling: Sequence[int], classes: tuple[str, ...]) -> str:
    """Words between single spaces."""
    letters = "".join(classes[i] for i in labelling)
    return " ".join(letters.replace(WORD_BOUNDARY, " ").split())


def _classify(
    encoder: Encoder,
    dataset: SpeechDataset,
    config: SpeechEvaluation,
    waveform: WaveformConfig,
    seed: int,
) -> Evaluation:
    """Probe and k-NN on the mean of each utterance's frames."""
    assert config.utterance_label is not None
    kind = config.utterance_label
    index = {name: i for i, name in enumerate(sorted(set(dataset.train.labels[kind])))}

    def labels(split: Utterances) -> np.ndarray:
        return np.array([index[name] for name in split.labels[kind]], np.int64)

    def features(split: Utterances) -> Features:
        frames = encode_frames(encoder, split, waveform)
        means = torch.stack([one.mean(dim=0) for one in frames])
        return Features(means.cpu().numpy(), labels(split))

    return evaluate_features(
        features(dataset.train),
        features(dataset.valid),
        features(dataset.test),
        config,
        seed=seed,
    )
