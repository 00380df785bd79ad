"""Speech: words recognised by CTC, utterances and frames classified.

Every utterance that a frozen protocol reads is encoded once, however many draws of
labels there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from d2v_core.config.speech_data import SpeechEvaluation, WaveformConfig
from d2v_core.data.speech.dataset import long_enough
from d2v_core.data.speech.utterances import SpeechDataset
from d2v_core.encoders.speech import SpeechEncoder
from d2v_core.evaluation.labels import label_draws, uniform
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.own import OwnMetric, measured
from d2v_core.evaluation.rank import NO_LABELS, RANK_METRIC, rank_indices, rankme
from d2v_core.evaluation.speech.checks import check_labels
from d2v_core.evaluation.speech.ctc import ctc_criterion
from d2v_core.evaluation.speech.frame_probe import AlignedFrames, probe_frames
from d2v_core.evaluation.speech.frames import encode_frames
from d2v_core.evaluation.speech.pool import pool_of
from d2v_core.evaluation.speech.recognition import (
    SplitFrames,
    recognise_fine_tuned,
    recognise_frozen,
)
from d2v_core.evaluation.speech.utterance_probe import classify_utterances

__all__ = ["check_labels", "ctc_criterion", "evaluate_speech"]

RANK_UTTERANCES = 128
"""Utterances whose frames RankMe is computed of."""


def evaluate_speech(
    encoder: SpeechEncoder,
    dataset: SpeechDataset,
    config: SpeechEvaluation,
    *,
    seed: int,
    waveform: WaveformConfig | None = None,
    own_metrics: Mapping[str, OwnMetric] | None = None,
) -> Evaluation:
    """Every number the configuration asks for, in per cent, means over label draws.

    ``eval/word_error_rate`` and ``eval/character_error_rate`` are the test split's by
    prefix beam search, ``eval/word_error_rate_greedy`` by the best path, pooled over
    the split. ``eval/linear_accuracy`` and ``eval/knn_accuracy`` classify utterances,
    ``eval/phone_accuracy`` and ``eval/word_frame_accuracy`` frames. Those with
    ``_validation_`` in their names are what selected. ``eval/rankme`` needs no labels;
    without any, of ``dataset`` or ``dataset.probed``, it is all there is.

    Args:
        encoder: Waveforms to frames, not changed.
        dataset: Its training split, or labelled subsets of it, fit; of
            ``dataset.probed``, if it has one.
        config: The protocol.
        seed: Seed of the labelled subsets, and of what is trained.
        waveform: How utterances are prepared; None: the default.
        own_metrics: The user's own, by the name they are logged under; of the mean
            frames of the utterances that RankMe is of, with their
            ``utterance_label`` if one is asked for.

    Raises:
        ConfigError: The data lacks what the protocol needs.
        DataError: A split has labels that the training split has not.
    """
    waveform = waveform or WaveformConfig()
    result = Evaluation({}, {}, _pretraining_notes(dataset, waveform))
    rank = _rank(encoder, dataset, config, waveform, own_metrics)
    dataset = dataset.probed or dataset
    if not dataset.labelled:
        return result.joined(rank).joined(Evaluation({}, {}, (NO_LABELS,)))
    check_labels(dataset, config)
    drawn = _draw(dataset, config, seed)
    if config.method == "fine_tune":
        (draw,) = drawn.recognised
        tuned = recognise_fine_tuned(
            encoder, dataset, draw, config, waveform, seed=seed
        )
        result = result.joined(tuned)
    result = result.joined(_frozen(encoder, dataset, drawn, config, waveform, seed))
    result = result.joined(rank)  # last: MLflow compares by the metric logged first
    return result if config.num_labels is not None else replace(result, draws={})


@dataclass(frozen=True)
class _Drawn:
    """Utterances of every draw, by what is fitted on them; empty: nothing is."""

    recognised: list[np.ndarray]
    frames: list[np.ndarray]
    classified: list[np.ndarray]
    """All of them, if any: the probe draws its own subsets."""


def _draw(dataset: SpeechDataset, config: SpeechEvaluation, seed: int) -> _Drawn:
    train = dataset.train
    everything = [np.arange(len(train))]
    anyhow = label_draws(uniform(len(train)), config, seed=seed) or everything
    num_recognised = {
        "probe": config.ctc_probe.max_label_draws,
        "fine_tune": 1,
        "none": 0,
    }
    return _Drawn(
        recognised=anyhow[: num_recognised[config.method]],
        frames=anyhow if _reads_frames(dataset, config) else [],
        classified=[] if config.utterance_label is None else everything,
    )


def _reads_frames(dataset: SpeechDataset, config: SpeechEvaluation) -> bool:
    splits = (dataset.train, dataset.valid, dataset.test)
    known = all(split.alignment is not None for split in splits)
    return known and config.frame_labels != "none"


def _frozen(
    encoder: SpeechEncoder,
    dataset: SpeechDataset,
    drawn: _Drawn,
    config: SpeechEvaluation,
    waveform: WaveformConfig,
    seed: int,
) -> Evaluation:
    """Everything that is fitted on frames of the encoder as it is."""
    recognised = drawn.recognised if config.method == "probe" else []
    pool = pool_of(recognised, drawn.frames, drawn.classified)
    result = Evaluation({}, {})
    if not len(pool.indices):
        return result
    read = pool.of(dataset)
    encode = partial(
        encode_frames, encoder, waveform=waveform, num_layers=config.num_layers
    )
    frames = SplitFrames(
        train=encode(read.train),
        valid=encode(read.valid),
        test=encode(read.test),
    )
    if recognised:
        places = pool.places(recognised)
        part = recognise_frozen(frames, read, places, config, seed=seed)
        result = result.joined(part)
    if drawn.classified:
        assert config.utterance_label is not None
        part = classify_utterances(frames, dataset, config, seed=seed)
        result = result.joined(part)
    if drawn.frames:
        places = pool.places(drawn.frames)
        fitted, selects, reported = _aligned(encoder, read, frames)
        part = probe_frames(fitted, selects, reported, places, config, seed=seed)
        result = result.joined(part)
    return result


def _rank(
    encoder: SpeechEncoder,
    dataset: SpeechDataset,
    config: SpeechEvaluation,
    waveform: WaveformConfig,
    own_metrics: Mapping[str, OwnMetric] | None,
) -> Evaluation:
    """How many directions frames use; of a few utterances, spread over ``valid``."""
    size = len(dataset.valid)
    chosen = np.unique(np.linspace(0, size - 1, min(size, RANK_UTTERANCES)).astype(int))
    some = dataset.valid.subset(chosen)
    encoded = encode_frames(encoder, some, waveform, num_layers=config.num_layers)
    frames = torch.cat(encoded)
    looked_at = frames.cpu().numpy()[rank_indices(len(frames))]
    means = torch.stack([one.mean(dim=0) for one in encoded]).cpu().numpy()
    names = some.labels.get(config.utterance_label or "", ("",) * len(some))
    labels = np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
    own = measured(own_metrics, means, labels)
    return Evaluation({RANK_METRIC: rankme(looked_at), **own}, {})


def _aligned(
    encoder: SpeechEncoder, dataset: SpeechDataset, frames: SplitFrames
) -> list[AlignedFrames]:
    aligned = []
    for made, split in (
        (frames.train, dataset.train),
        (frames.valid, dataset.valid),
        (frames.test, dataset.test),
    ):
        assert split.alignment is not None
        windows = encoder.front_end.windows
        aligned.append(AlignedFrames(made, split.alignment, windows))
    return aligned


def _pretraining_notes(
    dataset: SpeechDataset, waveform: WaveformConfig
) -> tuple[str, ...]:
    usable, lengths = long_enough(dataset.pretrain, waveform)
    if short := len(lengths) - len(usable):
        limit = f"waveform.min_seconds ({waveform.min_seconds:g})"
        return (f"pre-training left out {short} of {len(lengths)} below {limit}",)
    return ()
