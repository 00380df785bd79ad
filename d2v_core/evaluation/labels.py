"""Labelled subsets of the training samples, drawn with the trial's seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from d2v_core.config.training import EvaluationConfig
from d2v_core.data.splits import balanced_subset
from d2v_core.errors import ConfigError, Problem
from d2v_core.randomness import numpy_generator

Draw = Callable[[int, np.random.Generator], np.ndarray]
"""From a size and a generator to the indices of so many samples."""


def balanced(labels: np.ndarray) -> Draw:
    """Draws subsets in which every class is as frequent, as far as it goes."""
    return lambda size, generator: balanced_subset(labels, size, generator)


def uniform(num_samples: int) -> Draw:
    """Draws subsets of samples that have no classes."""

    def draw(size: int, generator: np.random.Generator) -> np.ndarray:
        return np.sort(generator.choice(num_samples, size, replace=False))

    return draw


def label_draws(
    draw: Draw, config: EvaluationConfig, *, seed: int, stream: str = "labels"
) -> list[np.ndarray] | None:
    """Sorted indices of each labelled subset; None: all samples are used.

    Draw r of a seed is the same whatever the encoder, and however many draws there are.

    Args:
        draw: How one is drawn.
        config: Says how many, and how large they are.
        seed: Seed of the trial.
        stream: Name of the random numbers.
    """
    if config.num_labels is None:
        return None
    return [
        draw(config.num_labels, numpy_generator(seed, stream, r))
        for r in range(config.num_label_draws)
    ]


def label_demand(config: EvaluationConfig) -> str:
    """Configurations with the same text here are served by the same data."""
    return f"{config.num_labels} {config.num_label_draws > 1}"


def check_num_labels(config: EvaluationConfig, sizes: Mapping[str, int]) -> None:
    """Refuse subsets that are larger than what they are drawn from, or all alike.

    Args:
        config: Says how many labels are wanted.
        sizes: Labelled training samples by a name for people.

    Raises:
        ConfigError: There are fewer, or as many and several draws are wanted.
    """
    wanted = config.num_labels
    if wanted is None:
        return
    short = [f"{name} has {size:,}" for name, size in sizes.items() if size < wanted]
    if short:
        message = "must be at most the labelled training samples, or null for all"
        text = f"{message}; {', '.join(short)}, got {wanted}"
        raise ConfigError([Problem("evaluation.num_labels", text)])
    full = [name for name, size in sizes.items() if size == wanted]
    if full and config.num_label_draws > 1:
        message = f"must be 1 where evaluation.num_labels is all of {', '.join(full)}"
        text = f"{message}, as all draws would be the same"
        text = f"{text}, got {config.num_label_draws}"
        raise ConfigError([Problem("evaluation.num_label_draws", text)])
