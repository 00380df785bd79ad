"""The metrics a study can ask for, by modality."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One number of the evaluation protocol.

    Attributes:
        name: As in a study, ``linear_accuracy``.
        title: For captions and axes, with the unit.
        higher_is_better: Direction.
    """

    name: str
    title: str
    higher_is_better: bool

    @property
    def logged_as(self) -> str:
        """Name in records and in the tracking store."""
        return f"eval/{self.name}"


LINEAR = Metric("linear_accuracy", "linear probe accuracy (%)", True)
KNN = Metric("knn_accuracy", "k-NN accuracy (%)", True)


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, dict[str, Metric]] = {"vision": _by_name(LINEAR, KNN)}
