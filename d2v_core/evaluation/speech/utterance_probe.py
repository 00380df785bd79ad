"""Whole utterances classified from the mean of their frames: linear probe and k-NN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from d2v_core.config.speech_data import SpeechEvaluation
from d2v_core.data.speech.utterances import SpeechDataset, Utterances
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.probe import Features
from d2v_core.evaluation.protocol import evaluate_features
from d2v_core.evaluation.speech.recognition import SplitFrames


def classify_utterances(
    frames: SplitFrames, dataset: SpeechDataset, config: SpeechEvaluation, *, seed: int
) -> Evaluation:
    """Fit on labelled subsets of ``train``, select on ``valid``, report ``test``.

    Args:
        frames: Frames of all utterances.
        dataset: Data set whose frames these are.
        config: The protocol.
        seed: Seed of the subsets.
    """
    kind = config.utterance_label
    assert kind is not None
    index = {name: i for i, name in enumerate(sorted(set(dataset.train.labels[kind])))}

    def features(rows: Sequence[Tensor], split: Utterances) -> Features:
        means = torch.stack([one.mean(dim=0) for one in rows])
        labels = [index[name] for name in split.labels[kind]]
        return Features(means.cpu().numpy(), np.array(labels, np.int64))

    return evaluate_features(
        features(frames.train, dataset.train),
        features(frames.valid, dataset.valid),
        features(frames.test, dataset.test),
        config,
        seed=seed,
    )
