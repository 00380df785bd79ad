"""What is planned, as every room of the engine sees it: cells with keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

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
        key: Key of its trial.
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
        data_digest: Digest of the first cell's data.
        num_parameters: Parameters of the first cell's encoder.
        looks: Numbers of seeds at which its claims are judged until they are decided;
            empty: once.
        data_problem: Why the data could not be read; empty: it was. With it, keys tell
            trials apart and mean nothing to a store.
    """

    expanded: ExpandedStudy
    cells: tuple[PlannedCell, ...]
    data_digest: str
    num_parameters: int
    data_problem: str = ""
    looks: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The study's name."""
        return self.expanded.study.name

    @property
    def seeds(self) -> list[int]:
        """The seeds of its arms; one of them has all."""
        return sorted({cell.seed for cell in self.cells})

    def with_seeds(self, counts: Mapping[str, int]) -> StudyPlan:
        """The plan with only so many of the first seeds of each arm."""
        place = {seed: number for number, seed in enumerate(self.seeds)}
        kept = (c for c in self.cells if place[c.seed] < counts[c.arm.label])
        return replace(self, cells=tuple(kept))

    def with_arms(self, names: Collection[str]) -> StudyPlan:
        """The plan with the cells of these arms alone; of all without names."""
        kept = (c for c in self.cells if not names or c.arm.label in names)
        return replace(self, cells=tuple(kept))

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
    where = (request.modality, request.scale)
    return request_id(study, *where, request.assignments, request.recipe)
