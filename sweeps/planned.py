"""What is planned, as every room of the engine sees it: cells with keys."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.metrics import Metric
from ablations.record import request_id
from ablations.study.arms import Arm, ExpandedStudy, Request
from d2v_core.config import TrialConfig


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a table with its keys.

    Attributes:
        arm: Its row.
        seed: Its seed.
        trial: Its configuration.
        key: Of its trial.
        training: Training key of the trial; several trials may share it.
    """

    arm: Arm
    seed: int
    trial: TrialConfig
    key: str
    training: str


@dataclass(frozen=True)
class StudyPlan:
    """One study, ready to be compared with the store.

    Attributes:
        expanded: Arms and cells.
        cells: With keys.
        data_digest: Of the data of the first cell.
        num_parameters: Of the encoder of the first cell.
        data_problem: Why the data could not be read; empty: it was. With it, keys tell
            trials apart and mean nothing to a store.
    """

    expanded: ExpandedStudy
    cells: tuple[PlannedCell, ...]
    data_digest: str
    num_parameters: int
    data_problem: str = ""

    @property
    def name(self) -> str:
        """The study's name."""
        return self.expanded.study.name

    @property
    def seeds(self) -> list[int]:
        """The seeds of every arm."""
        return sorted({cell.seed for cell in self.cells})

    @property
    def metric(self) -> Metric:
        """The metric that counts."""
        return self.expanded.study.metric_for(self.expanded.request.modality)

    @property
    def request_id(self) -> str:
        """Which study run this is: the same for every run of the same request."""
        return id_of_request(self.name, self.expanded.request)


def id_of_request(study: str, request: Request) -> str:
    """Identifies a request, as :func:`ablations.record.request_id`."""
    return request_id(study, request.modality, request.scale, request.assignments)
