"""Recognition of words by CTC: a linear layer on frozen frames, or fine-tuning.

The paper's evaluation is fine-tuning (section 5.1). No language model is used, as in
the paper's ablations (section 5.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from d2v_core.config.speech_data import SpeechEvaluation, WaveformConfig
from d2v_core.data.speech.dataset import encode
from d2v_core.data.speech.utterances import WORD_BOUNDARY, SpeechDataset, Utterances
from d2v_core.encoders.encoder import Encoder
from d2v_core.evaluation.outcome import Evaluation, over_draws
from d2v_core.evaluation.speech.chosen import edge_note, middle
from d2v_core.evaluation.speech.ctc_decoding import best_path, prefix_beam_search
from d2v_core.evaluation.speech.ctc_fine_tuning import fine_tune_ctc
from d2v_core.evaluation.speech.ctc_probe import CtcProbe, fit_ctc_probes
from d2v_core.evaluation.speech.frames import encode_frames
from d2v_core.evaluation.speech.word_errors import character_error_rate, word_error_rate

DECODED_TOGETHER = 256


@dataclass(frozen=True)
class Recogniser:
    """Something trained that gives log-probabilities of a split, and its rate."""

    learning_rate: float
    valid: list[np.ndarray]
    test: list[np.ndarray]


@dataclass(frozen=True)
class SplitFrames:
    """Frames of each utterance of the three splits."""

    train: Sequence[Float[Tensor, "_ dim"]]
    valid: Sequence[Float[Tensor, "_ dim"]]
    test: Sequence[Float[Tensor, "_ dim"]]


def recognise_frozen(
    frames: SplitFrames,
    dataset: SpeechDataset,
    draws: Sequence[np.ndarray],
    config: SpeechEvaluation,
    *,
    seed: int,
) -> Evaluation:
    """Fit layers on every draw, select the learning rate on ``valid``, report ``test``.

    Args:
        frames: Frames of an encoder that stays as it is.
        dataset: Data set whose frames these are.
        draws: Utterances of ``train`` in each draw.
        config: The protocol.
        seed: Seed of the order of the utterances.
    """
    probes = fit_ctc_probes(
        frames.train,
        encode(dataset.train.texts or (), dataset),
        draws,
        config.ctc_probe,
        num_classes=len(dataset.classes),
        seed=seed,
    )
    best = [_best_probe(some, frames, dataset, config) for some in probes]
    return _scored(best, dataset, config, "ctc_probe", config.ctc_probe.learning_rates)


def _best_probe(
    probes: Sequence[CtcProbe],
    frames: SplitFrames,
    dataset: SpeechDataset,
    config: SpeechEvaluation,
) -> Recogniser:
    candidates = [[probe.log_probs(one) for one in frames.valid] for probe in probes]
    scores = [_score(one, dataset, config.beam_width) for one in candidates]
    best = int(np.argmax(scores))
    return Recogniser(
        learning_rate=probes[best].learning_rate,
        valid=candidates[best],
        test=[probes[best].log_probs(one) for one in frames.test],
    )


def recognise_fine_tuned(
    encoder: Encoder,
    dataset: SpeechDataset,
    draw: np.ndarray,
    config: SpeechEvaluation,
    waveform: WaveformConfig,
    *,
    seed: int,
) -> Evaluation:
    """Fine-tune a copy of the encoder on one draw; the best learning rate counts.

    Args:
        encoder: Left as it is.
        dataset: Where the splits are.
        draw: Utterances of ``train`` that are learned.
        config: The protocol.
        waveform: How utterances are prepared.
        seed: Seed of everything that is drawn.
    """

    def log_probs(
        network: Encoder, head: nn.Module, split: Utterances
    ) -> list[np.ndarray]:
        logits = encode_frames(network, split, waveform, head)
        return [one.double().log_softmax(dim=1).cpu().numpy() for one in logits]

    def score(network: Encoder, head: nn.Module) -> float:
        outputs = log_probs(network, head, dataset.valid)
        return _score(outputs, dataset, config.beam_width)

    labelled = replace(dataset, train=dataset.train.subset(draw))
    tuning = config.fine_tuning
    best = fine_tune_ctc(encoder, labelled, tuning, waveform, score, seed=seed)
    tuned = Recogniser(
        learning_rate=best.learning_rate,
        valid=log_probs(best.encoder, best.head, dataset.valid),
        test=log_probs(best.encoder, best.head, dataset.test),
    )
    return _scored([tuned], dataset, config, "fine_tuning", tuning.learning_rates)


def _scored(
    best: Sequence[Recogniser],
    dataset: SpeechDataset,
    config: SpeechEvaluation,
    section: str,
    grid: Sequence[float],
) -> Evaluation:
    said, classes = dataset.test.texts or (), dataset.classes
    beams = [_beam(one.test, config.beam_width, classes) for one in best]
    greedy = [[spell(best_path(frames), classes) for frames in b.test] for b in best]
    valid = [_beam(one.valid, config.beam_width, classes) for one in best]
    said_valid = dataset.valid.texts or ()
    rates = [one.learning_rate for one in best]
    note = edge_note(f"the learning rate of evaluation.{section}", rates, grid)
    selected = [word_error_rate(said_valid, heard) for heard in valid]
    return over_draws(
        {
            "eval/word_error_rate": [word_error_rate(said, one) for one in beams],
            "eval/word_error_rate_greedy": [word_error_rate(said, g) for g in greedy],
            "eval/character_error_rate": [
                character_error_rate(said, one) for one in beams
            ],
        }
    ).joined(
        Evaluation(
            metrics={"eval/word_validation_error_rate": float(np.mean(selected))},
            choices={f"evaluation.{section}.learning_rate": middle(rates)},
            notes=(note,) if note else (),
        )
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
