"""Whole utterances classified from the mean of their frames: linear probe and k-NN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from d2v_core.config.speech_data import SpeechEvaluation
from d2v_core.data.speech.utterances import SpeechDataset, Utterances
from d2v_core.evaluation.outcome import Evaluation, over_draws
from d2v_core.evaluation.probe import Features
from d2v_core.evaluation.protocol import evaluate_features
from d2v_core.evaluation.speech.chosen import middle
from d2v_core.evaluation.speech.recognition import SplitFrames


def classes_of(split: Utterances, kind: str, known: Sequence[str]) -> np.ndarray:
    """Number the labels of one kind.

    Args:
        split: Whose labels.
        kind: Of label.
        known: Labels of that kind in the training split.
    """
    index = {name: i for i, name in enumerate(sorted(set(known)))}
    return np.array([index[name] for name in split.labels[kind]], np.int64)


def classify_utterances(
    frames: SplitFrames,
    dataset: SpeechDataset,
    draws: Sequence[np.ndarray],
    config: SpeechEvaluation,
    known: Sequence[str],
) -> Evaluation:
    """Fit on every draw, select on ``valid``, report ``test``.

    Args:
        frames: Of the utterances.
        dataset: Whose frames these are.
        draws: Utterances of ``train`` in each draw.
        config: The protocol.
        known: Labels of the whole training split.
    """
    kind = config.utterance_label
    assert kind is not None

    def features(rows: Sequence[Tensor], split: Utterances) -> Features:
        means = torch.stack([one.mean(dim=0) for one in rows])
        return Features(means.cpu().numpy(), classes_of(split, kind, known))

    train = features(frames.train, dataset.train)
    valid = features(frames.valid, dataset.valid)
    test = features(frames.test, dataset.test)
    each = [
        evaluate_features(
            Features(train.features[draw], train.labels[draw]), valid, test, config
        )
        for draw in draws
    ]
    scored = ("eval/linear_accuracy", "eval/knn_accuracy")
    selected = "eval/linear_validation_accuracy"
    return over_draws(
        {name: [one.metrics[name] for one in each] for name in scored}
    ).joined(
        Evaluation(
            metrics={selected: float(np.mean([one.metrics[selected] for one in each]))},
            choices={
                name: middle([one.choices[name] for one in each])
                for name in each[0].choices
            },
            notes=tuple(dict.fromkeys(note for one in each for note in one.notes)),
        )
    )
