"""Frozen probes of text tasks: on labelled subsets, and on all labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from d2v_core.config.text import TextEvaluation
from d2v_core.data.text.tasks import Samples, Task
from d2v_core.data.text.tokenizer import TextTokenizer
from d2v_core.encoders.text import TextEncoder
from d2v_core.evaluation.labels import balanced, label_draws, uniform
from d2v_core.evaluation.probe import Features, FittedProbes, fit_probes
from d2v_core.evaluation.text.features import extract_features
from d2v_core.evaluation.text.glue_metrics import score_of, task_metrics


@dataclass(frozen=True)
class TaskScores:
    """What the probes of a task gave, in per cent.

    Attributes:
        probes: One for each labelled subset.
        metrics: Metrics of each subset, by full name.
        scores: Score of each subset: the number that counts.
    """

    probes: FittedProbes
    metrics: tuple[dict[str, float], ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class ProbedTask:
    """A task at few labels and at all.

    Attributes:
        few: On labelled subsets; on everything, if none are drawn.
        whole: On everything, beside subsets.
    """

    few: TaskScores
    whole: TaskScores | None


def task_draws(
    task: Task, config: TextEvaluation, *, seed: int
) -> list[np.ndarray] | None:
    """Labelled subsets of a task's training samples; None: all of them are used."""
    labels = task.train.labels
    draw = balanced(labels) if task.classes else uniform(len(labels))
    return label_draws(draw, config, seed=seed, stream=f"labels of {task.name}")


def probe_task(
    encoder: TextEncoder,
    tokenizer: TextTokenizer,
    task: Task,
    config: TextEvaluation,
    *,
    seed: int,
) -> ProbedTask:
    """Fit on subsets, and on all labels too; features are computed once."""
    device: torch.device = next(encoder.parameters()).device

    def features(samples: Samples) -> Features:
        extracted = extract_features(
            encoder,
            tokenizer,
            samples,
            pooling=config.pooling,
            pairs=config.pairs,
            num_layers=config.num_layers,
        )
        return Features(extracted, samples.labels)

    train, valid = features(task.train), features(task.valid)
    tests = {name: features(test) for name, test in task.tests.items()}

    def fitted(draws: Sequence[np.ndarray]) -> TaskScores:
        probes = fit_probes(
            train,
            draws,
            valid,
            l2_grid=config.l2_grid,
            score=score_of(task.score),
            num_classes=len(task.classes),
            device=device,
        )
        predicted = {
            name: probes.predict(test.features) for name, test in tests.items()
        }
        pairs = [
            task_metrics(
                task.name,
                task.score,
                {name: (tests[name].labels, predicted[name][r]) for name in tests},
            )
            for r in range(len(draws))
        ]
        return TaskScores(
            probes,
            metrics=tuple(metrics for metrics, _ in pairs),
            scores=tuple(score for _, score in pairs),
        )

    draws, everything = task_draws(task, config, seed=seed), np.arange(len(task.train))
    if draws is None:
        return ProbedTask(fitted([everything]), None)
    return ProbedTask(fitted(draws), fitted([everything]))
