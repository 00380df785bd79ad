"""What an evaluation protocol gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Evaluation:
    """Result of a protocol.

    Attributes:
        metrics: ``eval/...``: numbers of the test split, in per cent, and the
            ``eval/..._validation_...`` ones that selected.
        choices: What was selected on the validation split.
        notes: Remarks, as when a choice lies on the edge of its grid.
        draws: Scores at each label draw, of the metrics that are their mean.
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
