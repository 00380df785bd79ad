"""``evaluate``: what frozen features are worth, with labels or without."""

from __future__ import annotations

from functools import partial

import numpy as np

from d2v_core.api.samples import Labels, Samples, class_indices, unpacked
from d2v_core.config.training import EvaluationConfig
from d2v_core.data.splits import hold_out
from d2v_core.errors import refused
from d2v_core.evaluation.labels import check_num_labels
from d2v_core.evaluation.probe import Features
from d2v_core.evaluation.protocol import evaluate_features
from d2v_core.evaluation.rank import RANK_METRIC, rank_indices, rankme
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.loading import LoadedEncoder

TEST_FRACTION = 0.25
"""Share of the labelled samples that is reported, where no test samples are given."""
VALIDATION_FRACTION = 0.15
"""Share of the others that selects the probe's L2 strength."""


def evaluate(
    encoder: LoadedEncoder,
    samples: Samples,
    labels: Labels | None = None,
    *,
    test_samples: Samples | None = None,
    test_labels: Labels | None = None,
    num_labels: int | None = None,
    num_label_draws: int = 1,
    sample_rate: int = SAMPLE_RATE_HZ,
    seed: int = 0,
) -> dict[str, float]:
    """Linear probe, k-NN and RankMe on frozen features (mean of the tokens).

    Args:
        encoder: From :func:`d2v_core.pretrain` or :func:`d2v_core.load_encoder`.
        samples: As :func:`d2v_core.pretrain` takes them.
        labels: Class of each; None: only RankMe is told.
        test_samples: Reported; None: a quarter of ``samples``, the same always.
        test_labels: Their classes.
        num_labels: Labelled samples the probe sees, class-balanced; None: all.
        num_label_draws: Subsets of so many, whose mean score is given.
        sample_rate: Sample rate of waveforms, in Hz.
        seed: Seed of these subsets.

    Returns:
        ``linear_accuracy`` and ``knn_accuracy`` in per cent (test), ``rankme``, and
        what selected: ``linear_validation_accuracy``.

    Raises:
        ConfigError: Samples or labels are not what they must be.
    """
    given = unpacked(samples)
    known = labels if labels is not None else given.labels
    features_of = partial(encoder.features, sample_rate=sample_rate)
    features = features_of(given.samples)
    rank = {"rankme": rankme(features[rank_indices(len(features))])}
    if known is None:
        return rank
    tested = None if test_samples is None else unpacked(test_samples, "test_samples")
    test_known: Labels = []
    if tested is not None:
        wanted_labels = test_labels if test_labels is not None else tested.labels
        if wanted_labels is None:
            message = "must be given where test_samples are"
            raise refused("test_labels", message)
        test_known = wanted_labels
    indices, classes = class_indices(
        [*known, *test_known], len(features) + (len(tested.samples) if tested else 0)
    )
    if len(classes) < 2:
        message = f"must have at least 2 classes, got {len(classes)}"
        raise refused("labels", message)
    config = EvaluationConfig(num_labels=num_labels, num_label_draws=num_label_draws)
    everything = Features(features, indices[: len(features)])
    if tested is not None:
        rest = everything
        test = Features(features_of(tested.samples), indices[len(features) :])
    else:
        kept, out = hold_out(everything.labels, TEST_FRACTION)
        rest, test = everything.subset(kept), everything.subset(out)
    fits, selects = hold_out(rest.labels, VALIDATION_FRACTION)
    check_num_labels(config, {"the training part": len(fits)})
    outcome = evaluate_features(
        rest.subset(fits), rest.subset(selects), test, config, seed=seed
    )
    return rank | {
        name.removeprefix("eval/"): float(np.float64(value))
        for name, value in outcome.metrics.items()
        if name != RANK_METRIC
    }
