"""Turns a point of a search space into a trial with its key, as studies do."""

from __future__ import annotations

from ablations.search.bound_space import BoundSpace, Point
from ablations.search.path import PAPER
from ablations.study.arms import Arm, ExpandedStudy
from ablations.study.locations import Locations
from ablations.study.schema import Study
from d2v_core.build import check_buildable
from d2v_core.config import TrialConfig
from d2v_core.modalities import modality_of
from sweeps.plan.planning import keyed
from sweeps.planned import PlannedCell, StudyPlan


class Cells:
    """Plans trials of a search.

    Args:
        bound: The space.

    Attributes:
        bound: The space.
        data_names: Name of the data by key of every trial planned so far.
    """

    def __init__(self, bound: BoundSpace) -> None:
        self.bound = bound
        self.data_names: dict[str, str] = {}
        self._data: dict[str, tuple[str, str, str]] = {}
        self._short = bound.short_names()

    def plan_cell(self, point: Point, number: int) -> PlannedCell:
        """The trial at a point; loads its data once, to check them.

        Args:
            point: What is tried.
            number: Number of the suggestion, for its label.

        Raises:
            ConfigError: The settings do not go together.
            DataError: The data are missing or broken.
        """
        trial = self.bound.trial(point)
        check_buildable(trial)
        name, trained_on, digest = self._data_of(trial)
        values = {self._short[setting]: value for setting, value in point.items()}
        arm = Arm(f"trial {number}", self.bound.overrides(point), values=values)
        cell = keyed(arm, trial, trained_on, digest)
        self.data_names[cell.key] = name
        return cell

    def _data_of(self, trial: TrialConfig) -> tuple[str, str, str]:
        """Name, and the digests of what training reads and of everything."""
        modality = modality_of(trial)
        data = modality.same_data(trial)
        if data not in self._data:
            digests = modality.training_digest(trial), modality.data_digest(trial)
            self._data[data] = (modality.load_data(trial).name, *digests)
        return self._data[data]

    def plan_search(self) -> StudyPlan:
        """The search as a study without cells: they come one by one.

        Its metric is the one on the validation split.
        """
        bound, space = self.bound, self.bound.space
        study = Study.model_validate(
            {
                "name": f"{space.name}_search",
                "title": space.title,
                "arms": [{"name": PAPER}],
                "seeds": 1,
                "metric": {
                    bound.request.modality: {
                        "name": bound.metric.validation_logged_as,
                        "title": f"{bound.metric.title}, validation split",
                        "higher_is_better": bound.metric.higher_is_better,
                    }
                },
                "set": dict(space.set),
            }
        )
        locations = Locations(study, bound.request.modality)
        arms = (Arm(PAPER, {}),)
        expanded = ExpandedStudy(
            study, bound.request, bound.base, bound.depth, arms, (), locations
        )
        *_, digest = self._data_of(bound.base)
        return StudyPlan(expanded, (), digest, check_buildable(bound.base))
