"""Text: every task with a frozen probe or fine-tuned, and the mean of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch

from d2v_core.config.text import TextEvaluation
from d2v_core.data.splits import balanced_subset
from d2v_core.data.text.dataset import TextDataset
from d2v_core.data.text.tasks import Samples, Task
from d2v_core.data.text.tokenizer import TextTokenizer
from d2v_core.encoders.inputs import mean_over_real
from d2v_core.encoders.text import TextEncoder
from d2v_core.encoders.token_inputs import pad_rows
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.probe import Features, fit_probe
from d2v_core.evaluation.text.fine_tuning import fine_tune_task
from d2v_core.evaluation.text.glue_metrics import score_of, task_metrics
from d2v_core.randomness import numpy_generator

BATCH_SIZE = 128


@dataclass(frozen=True)
class TaskOutcome:
    """What a task gave.

    Attributes:
        predictions: Of each reported split.
        validation_score: What selected.
        choice: Its setting and value.
        notes: Remarks on the choice.
    """

    predictions: Mapping[str, np.ndarray]
    validation_score: float
    choice: tuple[str, float]
    notes: tuple[str, ...]


def evaluate_texts(
    encoder: TextEncoder, dataset: TextDataset, config: TextEvaluation, *, seed: int
) -> Evaluation:
    """All tasks; ``eval/glue_score`` is the mean of their scores, in per cent.

    With the probe, ``eval/linear_accuracy`` is the mean accuracy of the tasks on single
    texts that are scored by it. What was chosen on each task's validation split is
    ``evaluation.<task>.<setting>``.

    Args:
        encoder: Left as it is; fine-tuning works on copies.
        dataset: Its tasks and its tokenizer are used.
        config: The protocol.
        seed: Of the labelled subset, the head's weights, order and dropout.
    """
    metrics: dict[str, float] = {}
    choices: dict[str, float] = {}
    scores, validation, single, notes = [], [], [], list[str]()
    for task in dataset.tasks:
        task = _with_fewer_labels(task, config.num_labels, seed)
        if config.method == "probe":
            outcome = _probe(encoder, dataset.tokenizer, task, config)
        else:
            outcome = _fine_tuned(encoder, dataset.tokenizer, task, config, seed)
        pairs = {
            name: (test.labels, outcome.predictions[name])
            for name, test in task.tests.items()
        }
        of_task, score = task_metrics(task.name, task.score, pairs)
        metrics |= of_task
        setting, value = outcome.choice
        choices[f"evaluation.{task.name}.{setting}"] = value
        notes += outcome.notes
        scores.append(score)
        validation.append(100.0 * outcome.validation_score)
        if task.train.second is None and task.score == "accuracy":
            single.append(score)
    metrics["eval/glue_score"] = fmean(scores)
    metrics["eval/glue_validation_score"] = fmean(validation)
    if single and config.method == "probe":
        metrics["eval/linear_accuracy"] = fmean(single)
    return Evaluation(metrics=metrics, choices=choices, notes=tuple(notes))


def _with_fewer_labels(task: Task, num_labels: int | None, seed: int) -> Task:
    train = task.train
    if num_labels is None or num_labels >= len(train):
        return task
    generator = numpy_generator(seed, f"labels of {task.name}")
    if task.classes:
        chosen = balanced_subset(train.labels, num_labels, generator)
    else:
        chosen = np.sort(generator.choice(len(train), num_labels, replace=False))
    return Task(**{**vars(task), "train": train.subset(chosen)})


def _probe(
    encoder: TextEncoder, tokenizer: TextTokenizer, task: Task, config: TextEvaluation
) -> TaskOutcome:
    def features(samples: Samples) -> Features:
        extracted = extract_features(
            encoder, tokenizer, samples, pooling=config.pooling, pairs=config.pairs
        )
        return Features(extracted, samples.labels)

    probe = fit_probe(
        features(task.train),
        features(task.valid),
        l2_grid=config.l2_grid,
        score=score_of(task.score),
        regression=not task.classes,
    )
    where = f"{task.name}: the probe's"
    notes = []
    if probe.on_edge:
        notes.append(f"{where} L2 {probe.l2:g} lies on the edge of its grid")
    if not probe.converged:
        notes.append(f"{where} fit at L2 {probe.l2:g} did not converge")
    return TaskOutcome(
        predictions={
            name: probe.predict(features(test).features)
            for name, test in task.tests.items()
        },
        validation_score=probe.validation_score,
        choice=("l2", probe.l2),
        notes=tuple(notes),
    )


def _fine_tuned(
    encoder: TextEncoder,
    tokenizer: TextTokenizer,
    task: Task,
    config: TextEvaluation,
    seed: int,
) -> TaskOutcome:
    tuned, predictions = fine_tune_task(encoder, tokenizer, task, config, seed=seed)
    rate = tuned.learning_rate
    note = f"{task.name}: learning rate {rate:g} lies on the edge of its grid"
    return TaskOutcome(
        predictions=predictions,
        validation_score=tuned.score,
        choice=("learning_rate", rate),
        notes=(note,) if tuned.on_edge else (),
    )


def extract_features(
    encoder: TextEncoder,
    tokenizer: TextTokenizer,
    samples: Samples,
    *,
    pooling: str,
    pairs: str,
) -> np.ndarray:
    """One vector per sample, float32 of shape (samples, features).

    Pairs u, v read separately give [u, v, |u - v|, u v]; read jointly, or with single
    texts, the features are as many as the encoder's channels.
    """
    rows = tokenizer.rows
    if samples.second is None:
        return pooled_tokens(encoder, rows(samples.first, encoder.max_tokens), pooling)
    if pairs == "joint":
        joint = tokenizer.pair_rows(samples.first, samples.second, encoder.max_tokens)
        return pooled_tokens(encoder, joint, pooling)
    u, v = (
        pooled_tokens(encoder, rows(texts, encoder.max_tokens), pooling)
        for texts in (samples.first, samples.second)
    )
    return np.concatenate([u, v, np.abs(u - v), u * v], axis=1)


@torch.no_grad()
def pooled_tokens(
    encoder: TextEncoder, rows: Sequence[np.ndarray], pooling: str
) -> np.ndarray:
    """Final tokens of each row as one vector, padding left out.

    Rows of like length are read together; the encoder is in evaluation mode.
    """
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    order = np.argsort([len(row) for row in rows], kind="stable")
    pooled = np.zeros((len(rows), encoder.dim), dtype=np.float32)
    for start in range(0, len(rows), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        inputs = pad_rows([rows[i] for i in batch]).to(device)
        tokens = encoder(inputs)
        mean = pooling == "mean"
        vectors = mean_over_real(tokens, encoder.real(inputs)) if mean else tokens[:, 0]
        pooled[batch] = vectors.float().cpu().numpy()
    encoder.train(was_training)
    return pooled
