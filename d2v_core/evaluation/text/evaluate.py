"""Text: every task with a frozen probe or fine-tuned, and the mean of their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

import numpy as np

from d2v_core.config.text import TextEvaluation
from d2v_core.data.text.dataset import TextDataset
from d2v_core.data.text.tasks import Task
from d2v_core.encoders.text import TextEncoder
from d2v_core.evaluation.outcome import Evaluation, over_draws
from d2v_core.evaluation.own import OwnMetric, measured
from d2v_core.evaluation.protocol import ALL_LABELS
from d2v_core.evaluation.rank import NO_TASKS, RANK_METRIC, rank_indices, rankme
from d2v_core.evaluation.text.features import pooled_tokens
from d2v_core.evaluation.text.fine_tuning import fine_tune_task
from d2v_core.evaluation.text.glue_metrics import task_metrics
from d2v_core.evaluation.text.probes import (
    ProbedTask,
    TaskScores,
    probe_task,
    task_draws,
)
from d2v_core.evaluation.text.word_probe import probe_words


def evaluate_texts(
    encoder: TextEncoder,
    dataset: TextDataset,
    config: TextEvaluation,
    *,
    seed: int,
    own_metrics: Mapping[str, OwnMetric] | None = None,
) -> Evaluation:
    """All tasks; ``eval/glue_score`` is the mean of their scores, in per cent.

    With the probe, scores are means over labelled subsets, if subsets are drawn; the
    same names with ``_all_labels`` stand beside them. ``eval/linear_accuracy`` is the
    mean accuracy of the tasks on single texts that are scored by it. What was chosen on
    each task's validation split is ``evaluation.<task>.<setting>``. ``eval/rankme`` is
    the effective rank of features of the training text. With text whose words are
    probed, the scores of :func:`probe_words` stand beside.

    Args:
        encoder: Left as it is; fine-tuning works on copies.
        dataset: Its tasks and its tokenizer are used.
        config: The protocol.
        seed: Seed of the labelled subsets, the head's weights, order and dropout.
        own_metrics: The user's own, by the name they are logged under; of the
            training rows that RankMe is of, and the classes of those that have one.
    """
    indices = rank_indices(len(dataset.rows))
    rows = dataset.rows.read(indices)
    features = pooled_tokens(
        encoder, rows, config.pooling, num_layers=config.num_layers
    )
    labels = np.zeros(len(dataset.rows), np.int64)
    labels[: len(dataset.labels)] = dataset.labels  # the first rows have them
    own = measured(own_metrics, features, labels[indices])
    rank = Evaluation({RANK_METRIC: rankme(features), **own}, {})
    if dataset.words is not None:
        rank = probe_words(encoder, dataset.tokenizer, dataset.words, config).joined(
            rank
        )
    if not dataset.tasks:
        notes = () if dataset.words is not None else (NO_TASKS,)
        return rank.joined(Evaluation({}, {}, notes))
    if config.method == "fine_tune":
        return _fine_tuned(encoder, dataset, config, seed).joined(rank)
    probed = {
        task.name: probe_task(encoder, dataset.tokenizer, task, config, seed=seed)
        for task in dataset.tasks
    }
    single = [
        task.name
        for task in dataset.tasks
        if task.train.second is None and task.score == "accuracy"
    ]
    # RankMe last: MLflow compares runs by the metric that was logged first.
    return _few(probed, single, config).joined(_whole(probed, single)).joined(rank)


def _few(
    probed: dict[str, ProbedTask], single: list[str], config: TextEvaluation
) -> Evaluation:
    few = {name: task.few for name, task in probed.items()}
    averaged = over_draws(_scores(few, single))
    if config.num_labels is None:
        averaged = replace(averaged, draws={})
    validation = [np.mean(task.probes.validation_scores) for task in few.values()]
    return averaged.joined(
        Evaluation(
            metrics={"eval/glue_validation_score": 100.0 * float(np.mean(validation))},
            choices={f"evaluation.{k}.l2": v.probes.median_l2 for k, v in few.items()},
            notes=tuple(
                note
                for name, task in few.items()
                for note in task.probes.notes(f"{name}: the probe's")
            ),
        )
    )


def _whole(probed: dict[str, ProbedTask], single: list[str]) -> Evaluation:
    whole = {k: v.whole for k, v in probed.items() if v.whole is not None}
    if not whole:
        return Evaluation({}, {})
    return Evaluation(
        metrics={
            f"{name}{ALL_LABELS}": scores[0]
            for name, scores in _scores(whole, single).items()
        },
        choices={
            f"evaluation.{k}.l2{ALL_LABELS}": v.probes.median_l2
            for k, v in whole.items()
        },
        notes=tuple(
            note
            for name, task in whole.items()
            for note in task.probes.notes(f"{name}: with all labels, the probe's")
        ),
    )


def _scores(
    tasks: dict[str, TaskScores], single: list[str]
) -> dict[str, tuple[float, ...]]:
    """Every metric at each labelled subset; draw r of the means is draw r of all."""
    scores: dict[str, tuple[float, ...]] = {}
    for task in tasks.values():
        for name in task.metrics[0]:
            scores[name] = tuple(of_draw[name] for of_draw in task.metrics)
    scores["eval/glue_score"] = _mean([task.scores for task in tasks.values()])
    if single:
        scores["eval/linear_accuracy"] = _mean([tasks[name].scores for name in single])
    return scores


def _mean(scores: list[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(fmean(of_draw) for of_draw in zip(*scores, strict=True))


def _fine_tuned(
    encoder: TextEncoder, dataset: TextDataset, config: TextEvaluation, seed: int
) -> Evaluation:
    """Every task fine-tuned on the first labelled subset."""
    metrics: dict[str, float] = {}
    choices: dict[str, float] = {}
    scores, validation, notes = [], [], list[str]()
    for task in dataset.tasks:
        task = _first_draw(task, config, seed)
        tuned, predictions = fine_tune_task(
            encoder, dataset.tokenizer, task, config, seed=seed
        )
        pairs = {
            name: (test.labels, predictions[name]) for name, test in task.tests.items()
        }
        of_task, score = task_metrics(task.name, task.score, pairs)
        metrics |= of_task
        scores.append(score)
        validation.append(100.0 * tuned.score)
        rate = tuned.learning_rate
        choices[f"evaluation.{task.name}.learning_rate"] = rate
        if tuned.on_edge:
            where = f"{task.name}: learning rate {rate:g}"
            notes.append(f"{where} lies on the edge of its grid")
    metrics["eval/glue_score"] = fmean(scores)
    metrics["eval/glue_validation_score"] = fmean(validation)
    return Evaluation(metrics, choices, tuple(notes))


def _first_draw(task: Task, config: TextEvaluation, seed: int) -> Task:
    draws = task_draws(task, config, seed=seed)
    if draws is None:
        return task
    return replace(task, train=task.train.subset(draws[0]))
