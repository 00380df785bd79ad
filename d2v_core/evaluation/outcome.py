"""What an evaluation protocol gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

DRAW_SD = "_draw_sd"
"""Ends the name of a metric that says how far label draws spread."""


@dataclass(frozen=True)
class Evaluation:
    """Result of a protocol.

    Attributes:
        metrics: ``eval/...``: numbers of the test split, in per cent, and the
            ``eval/..._validation_...`` ones that selected.
        choices: What was selected on the validation split.
        notes: Remarks, as when a choice lies on the edge of its grid.
        draws: The scores, in per cent, that some metrics are the mean of: one for each
            labelled subset.
    """

    metrics: Mapping[str, float]
    choices: Mapping[str, float]
    notes: tuple[str, ...] = ()
    draws: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def joined(self, other: Evaluation) -> Evaluation:
        """Both results as one; they name different things."""
        return Evaluation(
            metrics={**self.metrics, **other.metrics},
            choices={**self.choices, **other.choices},
            notes=(*self.notes, *other.notes),
            draws={**self.draws, **other.draws},
        )


def over_draws(scores: Mapping[str, Sequence[float]]) -> Evaluation:
    """Metrics that are means over labelled subsets, and what each subset gave.

    With two subsets or more, ``<metric>_draw_sd`` is the sample standard deviation.

    Args:
        scores: One for each subset, in per cent, by the full name of the metric.
    """
    metrics = {name: fmean(each) for name, each in scores.items()}
    for name, each in scores.items():
        if len(each) > 1:
            metrics[f"{name}{DRAW_SD}"] = stdev(each)
    return Evaluation(metrics, {}, draws={k: tuple(v) for k, v in scores.items()})
