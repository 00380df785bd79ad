"""Seconds to fit all probes of an evaluation, scikit-learn's way and ours, in one run.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --modality text --draws 10

scikit-learn's way is one ``LogisticRegression`` for each labelled subset and L2
strength, one ``KNeighborsClassifier`` for each subset; ours are
:func:`d2v_core.evaluation.probe.fit_probes` and
:func:`d2v_core.evaluation.neighbours.neighbours_accuracies`. Both get the same features
of the smoke recipe's untrained encoder and the same subsets, on one thread, and select
on the same validation split. Features are computed once for both: their time stands
beside.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ablations.library import read_recipe
from d2v_core.build import build_encoder
from d2v_core.config import parse_trial
from d2v_core.data.splits import balanced_subset
from d2v_core.evaluation.neighbours import neighbours_accuracies
from d2v_core.evaluation.probe import Features, accuracy, fit_probes
from d2v_core.evaluation.text import features as text_features
from d2v_core.evaluation.vision import evaluate as vision_features
from d2v_core.modalities import modality_of

MODALITIES = ("vision", "text")
MAX_ITERATIONS = 1_000
"""Most iterations of scikit-learn, as it was used before."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Problem:
    """What is fitted.

    Attributes:
        train: All labelled samples.
        valid: Selects.
        test: Is scored.
        draws: Labelled subsets.
        l2_grid: Strengths to choose from.
        num_neighbours: Neighbours of k-NN.
    """

    train: Features
    valid: Features
    test: Features
    draws: Sequence[np.ndarray]
    l2_grid: Sequence[float]
    num_neighbours: int


def build_problem(modality: str, num_labels: int, num_draws: int) -> Problem:
    """Features of the smoke recipe's untrained encoder; of text, its first task."""
    trial: Any = parse_trial(read_recipe(f"{modality}-smoke").data)
    dataset: Any = modality_of(trial).load_data(trial)
    encoder: Any = build_encoder(trial)
    if modality == "vision":
        splits = [
            Features(
                vision_features.extract_features(
                    encoder, dataset, split, pooling=trial.evaluation.pooling
                ),
                split.labels,
            )
            for split in (dataset.train, dataset.valid, dataset.test)
        ]
    else:
        task = dataset.tasks[0]
        splits = [
            Features(
                text_features.extract_features(
                    encoder, dataset.tokenizer, samples, pooling="mean", pairs="joint"
                ),
                samples.labels,
            )
            for samples in (task.train, task.valid, *task.tests.values())
        ]
    if num_labels > len(splits[0].labels):
        raise SystemExit(f"--labels: {modality} has {len(splits[0].labels)} at most")
    labels, generator = splits[0].labels, np.random.default_rng(0)
    return Problem(
        *splits[:3],
        draws=[
            *(balanced_subset(labels, num_labels, generator) for _ in range(num_draws)),
        ],
        l2_grid=trial.evaluation.l2_grid,
        num_neighbours=trial.evaluation.num_neighbours,
    )


def by_scikit_learn(problem: Problem) -> tuple[list[float], list[float]]:
    """Test accuracies of the linear probe and of k-NN, one subset after the other."""
    linear, neighbours = [], []
    for draw in problem.draws:
        train = problem.train.subset(draw)
        scaler = StandardScaler().fit(train.features)
        x_train, x_valid, x_test = (
            scaler.transform(part.features)
            for part in (train, problem.valid, problem.test)
        )
        best: tuple[float, Any] | None = None
        for l2 in sorted(problem.l2_grid, reverse=True):
            strength = 1.0 / (l2 * len(x_train))
            model = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(x_train, train.labels)
            reached = accuracy(problem.valid.labels, model.predict(x_valid))
            if best is None or reached > best[0]:
                best = (reached, model)
        assert best is not None
        linear.append(accuracy(problem.test.labels, best[1].predict(x_test)))
        nearest = KNeighborsClassifier(
            n_neighbors=min(problem.num_neighbours, len(draw)),
            metric="cosine",
            weights="distance",
        ).fit(train.features, train.labels)
        neighbours.append(nearest.score(problem.test.features, problem.test.labels))
    return linear, neighbours


def by_us(problem: Problem) -> tuple[list[float], list[float]]:
    """The same numbers, all subsets together."""
    probes = fit_probes(
        problem.train,
        problem.draws,
        problem.valid,
        l2_grid=problem.l2_grid,
        score=accuracy,
        num_classes=int(problem.train.labels.max()) + 1,
    )
    predicted = probes.predict(problem.test.features)
    neighbours = neighbours_accuracies(
        problem.train,
        problem.draws,
        problem.test,
        num_neighbours=problem.num_neighbours,
    )
    return [accuracy(problem.test.labels, one) for one in predicted], neighbours


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """CPU seconds, which do not count waiting, and the result."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def compare(modality: str, num_labels: int, num_draws: int) -> str:
    """One row of the table, as Markdown."""
    features, problem = timed(lambda: build_problem(modality, num_labels, num_draws))
    theirs, (their_linear, their_nearest) = timed(lambda: by_scikit_learn(problem))
    ours, (our_linear, our_nearest) = timed(lambda: by_us(problem))
    cells = (
        f"{modality}, {len(problem.draws)} × {num_labels}",
        f"{features:.2f}",
        f"{theirs:.2f}",
        f"{ours:.2f}",
        f"{theirs / ours:.1f}",
        f"{100 * np.mean(their_linear):.2f} / {100 * np.mean(our_linear):.2f}",
        f"{100 * np.mean(their_nearest):.2f} / {100 * np.mean(our_nearest):.2f}",
    )
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modality", choices=MODALITIES, action="append")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(
        "| subsets × labels | data, features | scikit-learn | ours | ratio | ", end=""
    )
    print("linear | k-NN |\n|---|---|---|---|---|---|---|")
    with threadpool_limits(1):
        for modality in options.modality or MODALITIES:
            print(compare(modality, options.labels, options.draws))


if __name__ == "__main__":
    main()
